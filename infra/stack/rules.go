package stack

import (
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"example.com/todo/infra/limit"
)

// memoryOf is the memory in MiB that goes with a number of CPU units.
// https://docs.aws.amazon.com/apprunner/latest/dg/architecture.html
var memoryOf = map[int][]int{
	256:  {512, 1024},
	512:  {1024},
	1024: {2048, 3072, 4096},
	2048: {4096, 6144},
	4096: {8192, 10240, 12288},
}

// https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html
var topicARN = regexp.MustCompile(`^arn:aws:sns:([a-z0-9-]+):\d{12}:[A-Za-z0-9_-]{1,256}$`)

// https://docs.aws.amazon.com/apprunner/latest/api/API_AssociateCustomDomain.html
var domainName = regexp.MustCompile(`^(\*\.)?([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$`)

// https://docs.aws.amazon.com/waf/latest/APIReference/API_AssociateWebACL.html
var webACLARN = regexp.MustCompile(`^arn:aws:wafv2:([a-z0-9-]+):\d{12}:regional/webacl/[\w-]{1,128}/[0-9a-f-]{36}$`)

// The six characters at the end are Secrets Manager's own: without them no policy would hold for the secret.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html
var keysSecretARN = regexp.MustCompile(`^arn:aws:secretsmanager:([a-z0-9-]+):\d{12}:secret:[\w/+=.@-]{1,512}-[A-Za-z0-9]{6}$`)

// origin is as a browser writes it (RFC 6454, section 6.2).
var origin = regexp.MustCompile(`^https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?$`)

// mostRequests is the service's own limit of its rate limit.
const mostRequests = 1_000_000

var (
	egresses = []string{egressEndpoints, egressNAT}
	logins   = []string{loginIAM, loginPassword}
	accesses = []string{accessPublic, accessPrivate}
	// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
	retentions = []int{
		1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
	}
	logLevels = []string{"debug", "info", "warn", "error"}
)

// check holds the configuration against what AWS accepts, where AWS itself would tell only half-way through.
func (c Config) check(s *settings) {
	s.oneOf(keyRegion, c.Region, limit.Regions())
	memory, known := memoryOf[c.CPU]
	s.require(known, "must be one of 256, 512, 1024, 2048, 4096", keyCPU)
	if known {
		s.require(slices.Contains(memory, c.Memory), fmt.Sprintf("%d cpu units go with a memory of %s", c.CPU, list(memory)),
			keyCPU, keyMemory)
	}

	// https://docs.aws.amazon.com/apprunner/latest/api/API_CreateAutoScalingConfiguration.html
	s.between(keyMinInstances, c.MinInstances, 1, 25)
	s.between(keyMaxInstances, c.MaxInstances, 1, 25)
	s.require(c.MinInstances <= c.MaxInstances, "the minimum must not exceed the maximum", keyMinInstances, keyMaxInstances)
	s.between(keyConcurrency, c.Concurrency, 1, 200)

	// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html
	s.capacity(keyDatabaseMinCapacity, c.DatabaseMinCapacity, 0)
	s.capacity(keyDatabaseMaxCapacity, c.DatabaseMaxCapacity, 1)
	s.require(c.DatabaseMinCapacity <= c.DatabaseMaxCapacity, "the minimum must not exceed the maximum",
		keyDatabaseMinCapacity, keyDatabaseMaxCapacity)
	s.between(keyDatabaseSleepAfter, c.DatabaseSleepAfter, 300, 86400)
	// A writer and up to 15 readers.
	s.between(keyDatabaseInstances, c.DatabaseInstances, 1, 16)
	s.oneOf(keyDatabaseLogin, c.DatabaseLogin, logins)

	s.between(keyZones, c.Zones, 2, 3)
	s.oneOf(keyEgress, c.Egress, egresses)
	s.oneOf(keyAccess, c.Access, accesses)
	s.oneOf(keyLogLevel, c.LogLevel, logLevels)
	s.require(slices.Contains(retentions, c.LogRetentionDays), "must be one of "+list(retentions), keyLogRetentionDays)
	c.checkRecipient(s)
	c.checkClients(s)
	s.require(c.CustomDomain == "" || len(c.CustomDomain) <= 255 && domainName.MatchString(c.CustomDomain),
		"must be a domain in lower case, such as api.example.com", keyCustomDomain)
	// App Runner has another DNS target for it in each VPC, and Pulumi's provider does not tell which.
	// https://docs.aws.amazon.com/apprunner/latest/api/API_VpcDNSTarget.html
	s.require(c.CustomDomain == "" || c.Access != accessPrivate, "a private service has no domain but its own",
		keyCustomDomain, keyAccess)
	acl := webACLARN.FindStringSubmatch(c.WebACLARN)
	s.require(c.WebACLARN == "" || acl != nil && acl[1] == c.Region,
		"must be the ARN of a regional WAF web ACL in the stack's region", keyWebACLARN)
}

// checkClients holds what the settings say of those who use the API, as the service reads them.
func (c Config) checkClients(s *settings) {
	secret := keysSecretARN.FindStringSubmatch(c.APIKeysSecret)
	s.require(c.APIKeysSecret == "" || secret != nil && secret[1] == c.Region,
		"must be the whole ARN of a secret in the stack's region, such as arn:aws:secretsmanager:"+c.Region+":123456789012:secret:todo/keys-AbCdEf",
		keyAPIKeysSecret)
	s.require(c.CORSOrigins == anyOrigin || c.CORSOrigins == noOrigin || areOrigins(c.CORSOrigins),
		"must be "+anyOrigin+", "+noOrigin+" or origins with commas between, such as https://example.com,http://localhost:3000", keyCORSOrigins)
	if rate, err := strconv.Atoi(c.RateLimit); err == nil {
		s.between(keyRateLimit, rate, 0, mostRequests)
	}
}

func areOrigins(list string) bool {
	return !slices.ContainsFunc(strings.Split(list, ","), func(one string) bool { return !origin.MatchString(strings.TrimSpace(one)) })
}

// checkRecipient holds that alarms have one recipient at most, and that a topic is where the alarms are.
func (c Config) checkRecipient(s *settings) {
	s.require(c.AlarmEmail == "" || c.AlarmTopicARN == "", "give one of them", keyAlarmEmail, keyAlarmTopicARN)
	address, err := mail.ParseAddress(c.AlarmEmail)
	s.require(c.AlarmEmail == "" || err == nil && address.Address == c.AlarmEmail, "must be an e-mail address", keyAlarmEmail)
	topic := topicARN.FindStringSubmatch(c.AlarmTopicARN)
	s.require(c.AlarmTopicARN == "" || topic != nil && topic[1] == c.Region,
		"must be the ARN of an SNS topic in the stack's region", keyAlarmTopicARN)
}

func (s *settings) between(key string, value, least, most int) {
	s.require(least <= value && value <= most, fmt.Sprintf("must be from %d to %d", least, most), key)
}

func (s *settings) oneOf(key, value string, allowed []string) {
	s.require(slices.Contains(allowed, value), "must be one of "+list(allowed), key)
}

func (s *settings) capacity(key string, value, least float64) {
	const most = 256
	halves := value * 2
	s.require(least <= value && value <= most && halves == float64(int(halves)),
		fmt.Sprintf("must be from %g to %d in steps of 0.5", least, most), key)
}

func list[T any](values []T) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(values), "[]"), " ", ", ")
}
