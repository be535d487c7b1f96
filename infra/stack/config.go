package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"example.com/todo/infra/limit"
)

// Ways out of the private network.
const (
	egressEndpoints = "endpoints"
	egressNAT       = "nat"
)

// Who reaches the service.
const (
	accessPublic  = "public"
	accessPrivate = "private"
)

// How the service logs in to its database.
const (
	loginPassword = "password"
	loginIAM      = "iam"
)

// Whose pages may use the API.
const (
	anyOrigin = "*"
	noOrigin  = "none"
)

// Config keys, in the project's own namespace except for the region.
const (
	keyRegion              = "aws:region"
	keyCPU                 = "cpu"
	keyMemory              = "memory"
	keyMinInstances        = "minInstances"
	keyMaxInstances        = "maxInstances"
	keyConcurrency         = "concurrency"
	keyDatabaseMinCapacity = "databaseMinCapacity"
	keyDatabaseMaxCapacity = "databaseMaxCapacity"
	keyDatabaseSleepAfter  = "databaseSleepAfter"
	keyDatabaseInstances   = "databaseInstances"
	keyDatabaseLogin       = "databaseLogin"
	keyZones               = "zones"
	keyEgress              = "egress"
	keyAccess              = "access"
	keyProtect             = "protect"
	keyFinalSnapshot       = "finalSnapshot"
	keyLogRetentionDays    = "logRetentionDays"
	keyAlarmEmail          = "alarmEmail"
	keyAlarmTopicARN       = "alarmTopicArn"
	keyXRay                = "xray"
	keyCustomDomain        = "customDomain"
	keyWebACLARN           = "webAclArn"
	keyLogLevel            = "logLevel"
	keyAPIKeysSecret       = "apiKeysSecret"
	keyCORSOrigins         = "corsOrigins"
	keyRateLimit           = "rateLimit"
	keyMetrics             = "metrics"
)

// Config is what may differ between environments. Pulumi.yaml describes each key.
type Config struct {
	Region                                   string
	CPU, Memory                              int
	MinInstances, MaxInstances, Concurrency  int
	DatabaseMinCapacity, DatabaseMaxCapacity float64
	DatabaseSleepAfter, DatabaseInstances    int
	DatabaseLogin                            string
	Zones                                    int
	Egress, Access                           string
	Protect, FinalSnapshot                   bool
	LogRetentionDays                         int
	AlarmEmail, AlarmTopicARN                string
	XRay                                     bool
	CustomDomain, WebACLARN                  string
	LogLevel                                 string
	APIKeysSecret, CORSOrigins               string
	RateLimit                                string // a whole number, or empty for what fits the access
	Metrics                                  bool
}

// readsSecrets says whether the service itself asks Secrets Manager for something, and so needs a way there. What App Runner
// injects, the service does not ask for.
func (c Config) readsSecrets() bool { return c.DatabaseLogin == loginPassword || c.APIKeysSecret != "" }

// readConfig gives the whole configuration or every problem it has.
func readConfig(ctx *pulumi.Context) (Config, error) {
	names, err := configuredNames()
	if err != nil {
		return Config{}, err
	}
	s := newSettings(ctx.Project(), ctx.GetConfig)
	config := s.readAll()
	s.refuseUnknown(names)
	config.check(s)
	return config, errors.Join(append(s.problems, limit.CheckName(ctx.Project(), ctx.Stack()))...)
}

func (s *settings) readAll() Config {
	return Config{
		Region:              setting(s, keyRegion, "eu-west-1", text),
		CPU:                 setting(s, keyCPU, 256, wholeNumber),
		Memory:              setting(s, keyMemory, 512, wholeNumber),
		MinInstances:        setting(s, keyMinInstances, 1, wholeNumber),
		MaxInstances:        setting(s, keyMaxInstances, 2, wholeNumber),
		Concurrency:         setting(s, keyConcurrency, 80, wholeNumber),
		DatabaseMinCapacity: setting(s, keyDatabaseMinCapacity, 0, number),
		DatabaseMaxCapacity: setting(s, keyDatabaseMaxCapacity, 1, number),
		DatabaseSleepAfter:  setting(s, keyDatabaseSleepAfter, 300, wholeNumber),
		DatabaseInstances:   setting(s, keyDatabaseInstances, 1, wholeNumber),
		DatabaseLogin:       setting(s, keyDatabaseLogin, loginIAM, text),
		Zones:               setting(s, keyZones, 2, wholeNumber),
		Egress:              setting(s, keyEgress, egressEndpoints, text),
		Access:              setting(s, keyAccess, accessPublic, text),
		Protect:             setting(s, keyProtect, false, yesOrNo),
		FinalSnapshot:       setting(s, keyFinalSnapshot, true, yesOrNo),
		LogRetentionDays:    setting(s, keyLogRetentionDays, 14, wholeNumber),
		AlarmEmail:          setting(s, keyAlarmEmail, "", text),
		AlarmTopicARN:       setting(s, keyAlarmTopicARN, "", text),
		XRay:                setting(s, keyXRay, false, yesOrNo),
		CustomDomain:        setting(s, keyCustomDomain, "", text),
		WebACLARN:           setting(s, keyWebACLARN, "", text),
		LogLevel:            setting(s, keyLogLevel, "info", text),
		APIKeysSecret:       setting(s, keyAPIKeysSecret, "", text),
		CORSOrigins:         setting(s, keyCORSOrigins, anyOrigin, text),
		RateLimit:           setting(s, keyRateLimit, "", wholeNumberOrNone),
		Metrics:             setting(s, keyMetrics, false, yesOrNo),
	}
}

// configuredNames are all keys that the stack sets. The SDK gives values by key only, so that a misspelt key would be
// passed over in silence; this is where the SDK itself finds them.
func configuredNames() ([]string, error) {
	configured := os.Getenv(pulumi.EnvConfig)
	if configured == "" {
		return nil, nil
	}
	values := map[string]string{}
	err := json.Unmarshal([]byte(configured), &values)
	if err != nil {
		return nil, fmt.Errorf("configuration in %s: %w", pulumi.EnvConfig, err)
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

var (
	text        = kind[string]{"text", func(s string) (string, error) { return s, nil }}
	wholeNumber = kind[int]{"a whole number", strconv.Atoi}
	// wholeNumberOrNone tells a number from none at all, for which there is no number.
	wholeNumberOrNone = kind[string]{"a whole number, or empty", parseWholeNumberOrNone}
	number            = kind[float64]{"a number", func(s string) (float64, error) { return strconv.ParseFloat(s, 64) }}
	yesOrNo           = kind[bool]{"true or false", parseBool}
)

func parseWholeNumberOrNone(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	n, err := strconv.Atoi(s)
	return strconv.Itoa(n), err
}

func parseBool(s string) (bool, error) {
	if s != "true" && s != "false" {
		return false, strconv.ErrSyntax
	}
	return s == "true", nil
}
