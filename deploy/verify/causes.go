package verify

import (
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"

	"example.com/todo/deploy/cloud"
)

// Causes are what is likely to have gone wrong, the most likely first; never none. App Runner itself says little.
// https://github.com/aws/apprunner-roadmap/issues/46
func (e Evidence) Causes() []string {
	var causes []string
	for _, likely := range []func(Evidence) string{
		wrongPlatform, roleNotAssumable, imageNotPulled, secretNotRead, ended, wrongPort, healthCheckRefused, slowStart, tokenRefused,
	} {
		if cause := likely(e); cause != "" {
			causes = append(causes, cause)
		}
	}
	if len(causes) == 0 {
		causes = append(causes, "none that is known here")
	}
	return causes
}

// event looks in what App Runner logged and in what it answered to Pulumi.
func (e Evidence) event(pattern *regexp.Regexp) []string {
	for _, text := range append(texts(e.Events), e.Engine...) {
		if match := pattern.FindStringSubmatch(text); match != nil {
			return match
		}
	}
	return nil
}

func texts(lines []cloud.Line) []string {
	var all []string
	for _, l := range lines {
		all = append(all, l.Text)
	}
	return all
}

func (e Evidence) application(pattern *regexp.Regexp) string {
	for _, l := range e.Application {
		if pattern.MatchString(l.Text) {
			return l.Text
		}
	}
	return ""
}

var (
	execFormat = regexp.MustCompile(`exec format error`)
	assuming   = regexp.MustCompile(`[Ee]rror in assuming (access|instance) role ?(\S*)`)
	pull       = regexp.MustCompile(`Failed to (copy|pull) (the|your application) image`)
	secret     = regexp.MustCompile(`(?i)(retrieve|pull|fetch) (the )?secret`)
	badToken   = regexp.MustCompile(`PAM authentication failed`)
	exitCode   = regexp.MustCompile(`stopped or failed to start|Container exit code: (\d+)`)
	unhealthy  = regexp.MustCompile(`[Hh]ealth check failed`)
	checked    = regexp.MustCompile(`\[?[Pp]ath:? '([^']*)'\]?.*[Pp]ort:? '(\d+)'`)
)

// https://github.com/aws/apprunner-roadmap/issues/98
func wrongPlatform(e Evidence) string {
	if e.application(execFormat) == "" && e.event(execFormat) == nil {
		return ""
	}
	return "the image is for another platform than linux/amd64, the only one that App Runner runs: build it with --platform linux/amd64"
}

func roleNotAssumable(e Evidence) string {
	match := e.event(assuming)
	if match == nil {
		return ""
	}
	principal := map[string]string{"access": "build.apprunner.amazonaws.com", "instance": "tasks.apprunner.amazonaws.com"}[match[1]]
	return fmt.Sprintf("App Runner may not assume the %s role %s: its trust policy must let %s do sts:AssumeRole; "+
		"a role that was made seconds ago may just need another try", match[1], match[2], principal)
}

// App Runner says the same of an image that is for arm64 alone. https://github.com/aws/apprunner-roadmap/issues/46
func imageNotPulled(e Evidence) string {
	if e.event(pull) == nil {
		return ""
	}
	return "App Runner could not copy the image from ECR: the access role must be allowed to pull from that repository, " +
		"the image must still be there, and must be for linux/amd64"
}

// https://docs.aws.amazon.com/apprunner/latest/dg/env-variable.html
func secretNotRead(e Evidence) string {
	if e.event(secret) == nil {
		return ""
	}
	return "App Runner could not read a secret of the service's environment: the secret must be there, and the instance role be allowed secretsmanager:GetSecretValue on it"
}

// RDS tells a client nothing else of a token that it refuses.
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.Troubleshooting.html
func tokenRefused(e Evidence) string {
	if e.application(badToken) == "" {
		return ""
	}
	return "the database refuses the service's tokens: the instance role must be allowed rds-db:connect as the role that it logs in as, " +
		"and the cluster's log iam-db-auth-error says why"
}

// A service that ends says why in its last words.
func ended(e Evidence) string {
	if e.event(exitCode) == nil {
		return ""
	}
	last := "it logged nothing"
	if n := len(e.Application); n > 0 {
		last = "its last line is " + strconv.Quote(e.Application[n-1].Text)
	}
	return "the service ended before it was healthy: " + last
}

// wrongPort compares where the service says that it listens with where it is asked.
func wrongPort(e Evidence) string {
	match := e.event(checked)
	if match == nil || e.event(unhealthy) == nil {
		return ""
	}
	for _, line := range e.Application {
		entry := logged(line.Text)
		if entry.Msg != "listening" {
			continue
		}
		if _, port, err := net.SplitHostPort(entry.Addr); err == nil && port != match[2] {
			return fmt.Sprintf("the service listens on port %s, and App Runner asks port %s", port, match[2])
		}
	}
	return ""
}

// healthCheckRefused finds what the service answered in its log of requests: nobody but the health check asks an instance
// that is not healthy yet.
func healthCheckRefused(e Evidence) string {
	match := e.event(checked)
	if match == nil || e.event(unhealthy) == nil {
		return ""
	}
	for _, line := range e.Application {
		if entry := logged(line.Text); entry.Msg == "request" && entry.Status >= 300 {
			return fmt.Sprintf("the service answers GET %s, the health check, with %d instead of 200", match[1], entry.Status)
		}
	}
	return ""
}

// slowStart is what is left when nothing answered: App Runner waits five minutes for an instance.
// https://docs.aws.amazon.com/apprunner/latest/dg/develop.html
func slowStart(e Evidence) string {
	if e.event(unhealthy) == nil || e.event(exitCode) != nil {
		return ""
	}
	for _, line := range e.Application {
		if logged(line.Text).Msg == "listening" {
			return ""
		}
	}
	return "the service did not listen within five minutes: it hangs while it starts, or its image is too large to be there in time"
}

// entry is what the service's own log lines say, in JSON.
type entry struct {
	Msg    string `json:"msg"`
	Addr   string `json:"addr"`
	Status int    `json:"status"`
}

func logged(line string) entry {
	var e entry
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &e) != nil {
		return entry{}
	}
	return e
}
