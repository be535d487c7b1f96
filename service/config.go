package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"example.com/todo/service/credentials"
	"example.com/todo/service/emf"
	"example.com/todo/service/httpapi"
	"example.com/todo/service/postgres"
	"example.com/todo/service/trace"
)

// The environment is the service's contract with whoever runs it; telemetry.go has the rest.
const (
	envListenHost       = "LISTEN_HOST"
	envPort             = "PORT"
	envLogLevel         = "LOG_LEVEL"
	envDatabaseURL      = "DATABASE_URL"
	envDatabaseHost     = "DATABASE_HOST"
	envDatabasePort     = "DATABASE_PORT"
	envDatabaseName     = "DATABASE_NAME"
	envDatabaseHostAddr = "DATABASE_HOSTADDR"
	envDatabaseMaxConns = "DATABASE_MAX_CONNS"
	envDatabaseUser     = "DATABASE_USER"
	envAdminSecret      = "DATABASE_ADMIN_SECRET"
	envSecretName       = "AWS_SECRET_NAME"
	envRegion           = "AWS_REGION"
	envAPIKeysSecret    = "API_KEYS_SECRET"
	envBodyLimit        = "BODY_LIMIT"
	envMaxConnections   = "MAX_CONNECTIONS"
	envRateLimit        = "RATE_LIMIT"
	envTrustedProxies   = "TRUSTED_PROXIES"
	envOrigins          = "CORS_ORIGINS"
	envSecurityHeaders  = "SECURITY_HEADERS"
)

const (
	defaultPort     = 8080
	defaultMaxConns = 10
	// defaultBodyLimit is thirty times the longest task.
	defaultBodyLimit = 64 << 10
	// defaultMaxConnections, at some 40 KiB each and a body of 64 more, fit into the
	// smallest instance of App Runner, and are five times the requests that it sends to one.
	defaultMaxConnections = 1024
	// defaultRateLimit is more than a person or a page needs, and a tenth of what the
	// smallest instance answers.
	defaultRateLimit = 50
	// defaultOrigins are all: the API knows its clients by what they send on purpose, not
	// by cookies or other things that a browser adds for any page.
	defaultOrigins = httpapi.AnyOrigin
	noOrigins      = "none"
)

// config is the environment, read once. One of database.URL, secretName and user is set.
type config struct {
	listenHost string // the address to listen on; empty for all, as a container has to
	port       uint16
	logLevel   slog.Level
	database   postgres.Config // without Logins
	secretName string          // name or ARN in Secrets Manager
	user       string          // of the database, who logs in by IAM
	region     string
	tracing    *trace.Config // nil when off
	metrics    *emf.Config   // nil when off; without Gauges and Out
	apiKeys    string        // name or ARN in Secrets Manager; empty when the API is open
	http       httpapi.Settings
}

// readConfig reports everything that is wrong at once. A default replaces what is
// missing, never what is malformed.
func readConfig(getenv func(string) string) (config, error) {
	r := reader{getenv: getenv}
	cfg := config{
		listenHost: r.listenHost(),
		port:       r.port(envPort, defaultPort),
		logLevel:   r.logLevel(),
		database: postgres.Config{
			URL:      credentials.Secret(getenv(envDatabaseURL)),
			Host:     getenv(envDatabaseHost),
			Port:     r.port(envDatabasePort, 0),
			Name:     getenv(envDatabaseName),
			HostAddr: r.hostAddr(),
			MaxConns: r.maxConns(),
			Admin:    r.admin(),
		},
		secretName: getenv(envSecretName),
		user:       getenv(envDatabaseUser),
		region:     getenv(envRegion),
		tracing:    r.tracing(),
		metrics:    r.metrics(),
		apiKeys:    getenv(envAPIKeysSecret),
		http: httpapi.Settings{
			BodyLimit:       r.number(envBodyLimit, defaultBodyLimit, 1<<10, 1<<20),
			MaxConnections:  r.number(envMaxConnections, defaultMaxConnections, 1, 1<<16),
			RateLimit:       r.number(envRateLimit, defaultRateLimit, 0, 1_000_000),
			TrustedProxies:  r.number(envTrustedProxies, 0, 0, 10),
			Origins:         r.origins(),
			SecurityHeaders: r.onUnlessOff(envSecurityHeaders),
		},
	}
	r.checkSource(cfg)
	return cfg, errors.Join(r.problems...)
}

type reader struct {
	getenv   func(string) string
	problems []error
}

func (r *reader) report(name, rule string) {
	r.problems = append(r.problems, fmt.Errorf("%s=%q %s", name, r.getenv(name), rule))
}

// reportSecret is report without the value.
func (r *reader) reportSecret(name string, rule error) {
	r.problems = append(r.problems, fmt.Errorf("%s=%v %w", name, credentials.Secret(r.getenv(name)), rule))
}

// checkSource has the database named in exactly one of the three ways.
func (r *reader) checkSource(cfg config) {
	switch {
	case cfg.database.URL != "":
		if err := postgres.CheckURL(cfg.database.URL); err != nil {
			r.reportSecret(envDatabaseURL, err)
		}
		r.exclude(envDatabaseURL, envSecretName, envDatabaseUser, envDatabaseHost, envDatabasePort, envDatabaseName, envDatabaseHostAddr)
		if cfg.apiKeys != "" && cfg.region == "" {
			r.report(envRegion, "must name the region of the secret in "+envAPIKeysSecret)
		}
	case cfg.user != "":
		r.exclude(envDatabaseUser, envSecretName)
		for _, name := range []string{envDatabaseHost, envDatabaseName, envRegion} {
			if r.getenv(name) == "" {
				r.report(name, "must be set beside "+envDatabaseUser)
			}
		}
		if cfg.database.Admin.Username == cfg.user {
			r.report(envDatabaseUser, "must be another than the one in "+envAdminSecret)
		}
	default:
		if cfg.secretName == "" {
			r.report(envSecretName, "must name the database's secret, unless "+envDatabaseUser+" logs in by IAM or "+envDatabaseURL+" is a whole DSN")
		}
		if cfg.region == "" {
			r.report(envRegion, "must name the region of the secret, unless "+envDatabaseURL+" is set")
		}
	}
	if cfg.user == "" && r.getenv(envAdminSecret) != "" {
		r.reportSecret(envAdminSecret, errors.New("must not be set without "+envDatabaseUser))
	}
}

// exclude reports those that are set although the one is.
func (r *reader) exclude(one string, others ...string) {
	for _, name := range others {
		if r.getenv(name) != "" {
			r.report(name, "must not be set beside "+one)
		}
	}
}

func (r *reader) port(name string, missing uint16) uint16 {
	value := r.getenv(name)
	if value == "" {
		return missing
	}
	port, err := strconv.ParseUint(value, 10, 16)
	if err != nil || port == 0 {
		r.report(name, "must be a number from 1 to 65535")
	}
	return uint16(port)
}

func (r *reader) listenHost() string {
	value := r.getenv(envListenHost)
	if _, err := netip.ParseAddr(value); value != "" && err != nil {
		r.report(envListenHost, "must be an IP address")
	}
	return value
}

func (r *reader) maxConns() int32 {
	value := r.getenv(envDatabaseMaxConns)
	if value == "" {
		return defaultMaxConns
	}
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n < 1 {
		r.report(envDatabaseMaxConns, "must be a whole number of at least 1")
	}
	return int32(n)
}

// admin is nobody when the secret is not set.
func (r *reader) admin() credentials.Login {
	value := credentials.Secret(r.getenv(envAdminSecret))
	if value == "" {
		return credentials.Login{}
	}
	login, err := credentials.ParseLogin(value)
	if err != nil {
		r.reportSecret(envAdminSecret, err)
	}
	return login
}

// number reads a whole number in a range.
func (r *reader) number(name string, missing, least, most int) int {
	value := r.getenv(name)
	if value == "" {
		return missing
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		r.report(name, fmt.Sprintf("must be a whole number from %d to %d", least, most))
	}
	return n
}

func (r *reader) origins() []string {
	value := cmp.Or(r.getenv(envOrigins), defaultOrigins)
	if value == noOrigins {
		return nil
	}
	origins := strings.Split(value, ",")
	for i := range origins {
		origins[i] = strings.TrimSpace(origins[i])
		if origins[i] != httpapi.AnyOrigin && !isOrigin(origins[i]) {
			r.report(envOrigins, "must be "+httpapi.AnyOrigin+", "+noOrigins+" or a list of origins such as https://example.com,http://localhost:3000")
			break
		}
	}
	return origins
}

// isOrigin wants an origin as a browser writes it (RFC 6454, section 6.2), since they
// are compared byte by byte.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && !strings.Contains(u.Host, "*") &&
		text == strings.ToLower(u.Scheme+"://"+u.Host)
}

func (r *reader) onUnlessOff(name string) bool {
	switch r.getenv(name) {
	case "", "on":
		return true
	case "off":
		return false
	}
	r.report(name, "must be on or off")
	return true
}

func (r *reader) hostAddr() string {
	value := r.getenv(envDatabaseHostAddr)
	if value == "" {
		return ""
	}
	if _, err := netip.ParseAddrPort(value); err != nil {
		r.report(envDatabaseHostAddr, "must be ip:port")
	}
	return value
}

func (r *reader) logLevel() slog.Level {
	switch r.getenv(envLogLevel) {
	case "debug":
		return slog.LevelDebug
	case "", "info":
		return slog.LevelInfo
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	r.report(envLogLevel, "must be debug, info, warn or error")
	return slog.LevelInfo
}
