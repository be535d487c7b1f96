// Package limit knows what AWS takes before it is asked: the regions of App Runner, and names that fit everywhere.
package limit

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// https://docs.aws.amazon.com/general/latest/gr/apprunner.html
var regions = []string{
	"ap-northeast-1", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "eu-central-1", "eu-west-1", "eu-west-2",
	"eu-west-3", "us-east-1", "us-east-2", "us-west-2",
}

// Regions lists those that have App Runner, in order.
func Regions() []string { return slices.Clone(regions) }

const (
	shortestName = 4
	// longestName is what App Runner allows an auto scaling configuration, the tightest of all.
	// https://docs.aws.amazon.com/apprunner/latest/api/API_CreateAutoScalingConfiguration.html
	longestName = 32
)

// nameRule is what every AWS service here accepts at the start of a name: RDS takes neither upper case, nor a double
// hyphen, nor one at the end. https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBCluster.html
var nameRule = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// PhysicalName begins every name that is fixed in AWS.
func PhysicalName(project, stack string) string { return project + "-" + stack }

// CheckName says all that is wrong with the physical name of a stack, or nil.
func CheckName(project, stack string) error {
	name := PhysicalName(project, stack)
	var problems []error
	if !nameRule.MatchString(name) {
		problems = append(problems, fmt.Errorf(
			"project and stack are %q: must be lower-case letters and digits, begin with a letter and have single hyphens inside", name))
	}
	if len(name) < shortestName || len(name) > longestName {
		problems = append(problems, fmt.Errorf(
			"project and stack are %q: must have %d to %d characters together", name, shortestName, longestName))
	}
	return errors.Join(problems...)
}
