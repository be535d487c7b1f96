package account

import (
	"encoding/json"
	"fmt"
	"regexp"
)

// A reference is what App Runner is told instead of a secret's value: the secret's ARN, and after it, if anything, what of
// the value is meant, a key of a JSON document, and which value, by its stage and the id of its version.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html
type reference struct{ arn, key, stage, version string }

var secretReference = regexp.MustCompile(`^(arn:aws:secretsmanager:[a-z0-9-]+:\d{12}:secret:[^:]+)(?::([^:]*):([^:]*):([^:]*))?$`)

// AR-29
func parseReference(text string) (reference, error) {
	m := secretReference.FindStringSubmatch(text)
	if m == nil {
		return reference{}, fmt.Errorf("%q is no ARN of a secret; the rehearsal knows neither names nor parameters of Systems Manager here", text)
	}
	return reference{arn: m[1], key: m[2], stage: m[3], version: m[4]}, nil
}

// Injected is the value of an environment's secret, as App Runner reads it for its deployments: in the instance role, and by no
// way through the service's network. The error is an *APIError when Secrets Manager refuses. (AR-30, AR-31)
// https://docs.aws.amazon.com/apprunner/latest/dg/env-variable.html
func (a *Account) Injected(roleARN, region, text string) (string, error) {
	of, err := parseReference(text)
	if err != nil {
		return "", err
	}
	read, err := a.GetSecretValue(Caller{RoleARN: roleARN, Region: region}, of.arn, of.version, of.stage)
	if err != nil || of.key == "" {
		return read.Value, err
	}
	document := map[string]any{}
	if err := json.Unmarshal([]byte(read.Value), &document); err != nil {
		return "", fmt.Errorf("%s is no JSON document", of.arn)
	}
	value, is := document[of.key].(string)
	if !is {
		return "", fmt.Errorf("retrieved secret %s did not contain json key %s", of.arn, of.key)
	}
	return value, nil
}

func (c *call) variables() map[string]string { return c.environment("runtimeEnvironmentVariables") }

func (c *call) secrets() map[string]string { return c.environment("runtimeEnvironmentSecrets") }

func (c *call) environment(of string) map[string]string {
	return c.dict("sourceConfiguration", "imageRepository", "imageConfiguration", of)
}
