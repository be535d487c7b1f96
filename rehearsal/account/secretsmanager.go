package account

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// The staging labels of a secret's versions.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html
const (
	StageCurrent  = "AWSCURRENT"
	StagePrevious = "AWSPREVIOUS"
	stagePending  = "AWSPENDING"
)

// A secret is a cluster's managed master secret, or one that somebody made, which has no cluster.
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/rds-secrets-manager.html
type secret struct {
	arn, kmsKey, cluster, username string
	versions                       []version // the newest first
}

// A version of a secret has one of its values; without a stage nobody keeps it.
type version struct {
	id, password string
	text         string // what somebody put there, instead of a password
	stages       []string
}

func (s *secret) current() *version { return s.at(StageCurrent) }

// at is the version at a stage, or nil.
func (s *secret) at(stage string) *version {
	for i := range s.versions {
		if slices.Contains(s.versions[i].stages, stage) {
			return &s.versions[i]
		}
	}
	return nil
}

// manageSecret makes the secret of a cluster: a name with an exclamation mark and a value of two keys. (SM-1)
func (a *Account) manageSecret(c *call, number string) *secret {
	s := &secret{
		arn:      c.arn("secretsmanager", fmt.Sprintf("secret:rds!cluster-%s-%s", uuid(number), number[:6])),
		kmsKey:   c.arn("kms", "key/"+uuid(number)),
		cluster:  c.ID,
		username: c.str("masterUsername"),
		versions: []version{newVersion(StageCurrent)},
	}
	a.secrets[s.arn] = s
	return s
}

func newVersion(stage string) version {
	return version{id: uuid(fingerprint(rand.Text())), password: rand.Text(), stages: []string{stage}}
}

func (a *Account) forgetSecret(arn string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.secrets, arn)
}

// A SecretValue is what GetSecretValue answers.
type SecretValue struct {
	ARN, VersionID, Value string
	Stages                []string
}

// GetSecretValue answers Secrets Manager's operation of that name to a caller, for the version of the given id or, where that
// is empty, at the given stage, which is StageCurrent by default. The error is an *APIError when Secrets Manager refuses. (SM-2, SM-4)
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
func (a *Account) GetSecretValue(caller Caller, id, versionID, stage string) (SecretValue, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	refusal := func(code, message string) error {
		return &APIError{Service: "Secrets Manager", Operation: "GetSecretValue", Code: code, Message: message}
	}
	found := a.findSecret(id)
	if found != nil && strings.Split(found.arn, ":")[3] != caller.Region {
		found = nil
	}
	resource := id
	if found != nil {
		resource = found.arn
	}
	// Access is decided before existence, so that nobody learns from a refusal what there is.
	if err := a.authorize(caller, "secretsmanager:GetSecretValue", resource); err != nil {
		return SecretValue{}, refusal("AccessDeniedException", err.Error())
	}
	if found == nil {
		return SecretValue{}, refusal("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	}
	if stage == "" && versionID == "" {
		stage = StageCurrent
	}
	i := slices.IndexFunc(found.versions, func(v version) bool {
		return (stage == "" || slices.Contains(v.stages, stage)) && (versionID == "" || v.id == versionID)
	})
	switch {
	case i < 0 && versionID != "":
		return SecretValue{}, refusal("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: "+versionID)
	case i < 0:
		return SecretValue{}, refusal("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: "+stage)
	}
	v := found.versions[i]
	value := v.text
	if found.managed() {
		document, err := json.Marshal(map[string]string{"username": found.username, "password": v.password})
		if err != nil {
			return SecretValue{}, fmt.Errorf("write the value of secret %s: %w", found.arn, err)
		}
		value = string(document)
	}
	return SecretValue{found.arn, v.id, value, slices.Clone(v.stages)}, nil
}

// managed says whether RDS keeps the secret, for a cluster.
func (s *secret) managed() bool { return s.cluster != "" }

func (a *Account) findSecret(id string) *secret {
	for _, s := range a.secrets {
		if s.arn == id || nameOf(s.arn) == id {
			return s
		}
	}
	return nil
}

// RotateSecret answers Secrets Manager's operation of that name, which RDS carries out for its own secrets: the master user
// gets another password first, and then the secret's stages move. Sessions that are open go on. (SM-3)
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_managed.html
func (a *Account) RotateSecret(ctx context.Context, id string) error {
	cluster, password, err := a.beginRotation(id)
	if err != nil {
		return err
	}
	err = a.runtime.SetPassword(ctx, cluster, password)
	return errors.Join(err, a.endRotation(id, err == nil))
}

func (a *Account) beginRotation(id string) (cluster, password string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	refusal := func(code, message string) error {
		return &APIError{Service: "Secrets Manager", Operation: "RotateSecret", Code: code, Message: message}
	}
	s := a.findSecret(id)
	if s == nil {
		return "", "", refusal("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	}
	if !s.managed() {
		return "", "", refusal("InvalidRequestException", "No Lambda rotation function ARN is associated with this secret.")
	}
	if s.at(stagePending) != nil {
		return "", "", refusal("InvalidRequestException", "A previous rotation isn't complete. That rotation will be reattempted.")
	}
	next := newVersion(stagePending)
	s.versions = append([]version{next}, s.versions...)
	a.tell(s, "rotating")
	return s.cluster, next.password, nil
}

// endRotation moves the stages, or forgets the version that was not taken.
func (a *Account) endRotation(id string, taken bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.findSecret(id)
	if s == nil {
		return fmt.Errorf("secret %s went away while it was rotated", id)
	}
	if taken {
		s.moveStages()
	}
	s.versions = slices.DeleteFunc(s.versions, func(v version) bool { return slices.Contains(v.stages, stagePending) })
	a.tell(s, "active")
	return nil
}

// moveStages has the pending version be the current one, and that the one before. (SM-4)
func (s *secret) moveStages() {
	for i := range s.versions {
		v := &s.versions[i]
		switch {
		case slices.Contains(v.stages, stagePending):
			v.stages = []string{StageCurrent}
		case slices.Contains(v.stages, StageCurrent):
			v.stages = []string{StagePrevious}
		default:
			v.stages = nil
		}
	}
	s.versions = slices.DeleteFunc(s.versions, func(v version) bool { return len(v.stages) == 0 })
}

// tell has the cluster say how its secret is.
func (a *Account) tell(s *secret, status string) {
	if cluster := a.find(tokenCluster, s.cluster); cluster != nil {
		cluster.set("masterUserSecrets", s.describe(status))
	}
}

// describe is the secret as its cluster has it.
func (s *secret) describe(status string) []resource.PropertyValue {
	return []resource.PropertyValue{resource.NewProperty(resource.PropertyMap{
		"kmsKeyId":     resource.NewProperty(s.kmsKey),
		"secretArn":    resource.NewProperty(s.arn),
		"secretStatus": resource.NewProperty(status),
	})}
}

// nameOf is a secret's name: the last part of its ARN without the six characters that Secrets Manager adds.
func nameOf(arn string) string {
	name := arn[strings.LastIndex(arn, ":")+1:]
	return name[:max(0, len(name)-len("-123456"))]
}

// uuid writes 32 hexadecimal digits as a UUID.
func uuid(digits string) string {
	return digits[:8] + "-" + digits[8:12] + "-" + digits[12:16] + "-" + digits[16:20] + "-" + digits[20:32]
}
