package account

import (
	"fmt"
	"slices"
	"time"
)

// A lifecycle is a repository's policy about which images expire, its rules in the order of their priority.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html
type lifecycle struct {
	Rules []lifecycleRule `json:"rules"`
}

type lifecycleRule struct {
	Priority    int       `json:"rulePriority"`
	Description string    `json:"description"`
	Selection   selection `json:"selection"`
	Action      struct {
		Type string `json:"type"`
	} `json:"action"`
}

type selection struct {
	TagStatus      string   `json:"tagStatus"`
	TagPrefixList  []string `json:"tagPrefixList"`
	TagPatternList []string `json:"tagPatternList"`
	CountType      string   `json:"countType"`
	CountUnit      string   `json:"countUnit"`
	CountNumber    int      `json:"countNumber"`
}

const (
	tagged, untagged, anyTag = "tagged", "untagged", "any"
	byCount, byAge           = "imageCountMoreThan", "sinceImagePushed"
)

// parseLifecycle refuses what ECR refuses. (ECR-3)
func parseLifecycle(document string) (lifecycle, error) {
	var policy lifecycle
	if err := decodeStrictly([]byte(document), &policy); err != nil {
		return policy, err
	}
	if len(policy.Rules) == 0 {
		return policy, fmt.Errorf("rules must not be empty")
	}
	var priorities []int
	untaggedRules, anyPriority := 0, 0
	for _, rule := range policy.Rules {
		s := rule.Selection
		listed := len(s.TagPrefixList)+len(s.TagPatternList) > 0
		switch {
		case rule.Priority < 1 || slices.Contains(priorities, rule.Priority):
			return policy, fmt.Errorf("rulePriority %d must be positive and unique", rule.Priority)
		case !slices.Contains([]string{tagged, untagged, anyTag}, s.TagStatus):
			return policy, fmt.Errorf("tagStatus %q must be tagged, untagged or any", s.TagStatus)
		case (s.TagStatus == tagged) != listed:
			return policy, fmt.Errorf("tagPrefixList or tagPatternList is required with tagStatus tagged and refused otherwise (rule %d)", rule.Priority)
		case s.CountType != byCount && s.CountType != byAge:
			return policy, fmt.Errorf("countType %q must be imageCountMoreThan or sinceImagePushed", s.CountType)
		case (s.CountType == byAge) != (s.CountUnit == "days"):
			return policy, fmt.Errorf("countUnit days is required with sinceImagePushed and refused otherwise (rule %d)", rule.Priority)
		case s.CountNumber < 1:
			return policy, fmt.Errorf("countNumber %d must be positive", s.CountNumber)
		case rule.Action.Type != "expire":
			return policy, fmt.Errorf("action type %q must be expire", rule.Action.Type)
		}
		priorities = append(priorities, rule.Priority)
		if s.TagStatus == untagged {
			untaggedRules++
		}
		if s.TagStatus == anyTag {
			anyPriority = rule.Priority
		}
	}
	if untaggedRules > 1 {
		return policy, fmt.Errorf("only one rule may select untagged images")
	}
	if anyPriority != 0 && anyPriority != slices.Max(priorities) {
		return policy, fmt.Errorf("a rule with tagStatus any must have the highest rulePriority")
	}
	slices.SortFunc(policy.Rules, func(a, b lifecycleRule) int { return a.Priority - b.Priority })
	return policy, nil
}

// expiring are the digests of the images that expire at a time. A rule counts all images that it selects, but marks none that a
// rule before it selects. (ECR-7)
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html
func (l lifecycle) expiring(images []Image, now time.Time) []string {
	newest := slices.SortedStableFunc(slices.Values(images), func(a, b Image) int { return b.PushedAt.Compare(a.PushedAt) })
	var expiring []string
	taken := map[string]bool{}
	for _, rule := range l.Rules {
		var selected []Image
		for _, image := range newest {
			if rule.Selection.selects(image) {
				selected = append(selected, image)
			}
		}
		for n, image := range selected {
			old := rule.Selection.CountType == byAge && now.Sub(image.PushedAt) > time.Duration(rule.Selection.CountNumber)*24*time.Hour
			surplus := rule.Selection.CountType == byCount && n >= rule.Selection.CountNumber
			if (old || surplus) && !taken[image.Digest] {
				expiring = append(expiring, image.Digest)
			}
			taken[image.Digest] = true
		}
	}
	return expiring
}

// selects says whether a rule is about an image; one with several prefixes or patterns needs a tag for each.
func (s selection) selects(image Image) bool {
	has := func(pattern string) bool {
		return slices.ContainsFunc(image.Tags, func(tag string) bool { return wildcard(pattern, tag) })
	}
	switch s.TagStatus {
	case untagged:
		return len(image.Tags) == 0
	case tagged:
		for _, prefix := range s.TagPrefixList {
			if !has(prefix + "*") {
				return false
			}
		}
		for _, pattern := range s.TagPatternList {
			if !has(pattern) {
				return false
			}
		}
	}
	return true
}
