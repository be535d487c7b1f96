package main

import (
	"log/slog"
	"strings"
	"testing"

	"example.com/todo/service/credentials"
	"example.com/todo/service/httpapi"
	"example.com/todo/service/postgres"
	"github.com/google/go-cmp/cmp"
)

func TestReadConfig(t *testing.T) {
	for _, tc := range []struct {
		name string
		env  env
		want config
	}{
		{
			name: "a laptop",
			env:  env{envDatabaseURL: "postgres://u:p@localhost/todo"},
			want: config{port: 8080, database: postgres.Config{URL: "postgres://u:p@localhost/todo", MaxConns: 10}, http: defaults},
		},
		{
			name: "AWS, the rest from the secret",
			env:  env{envSecretName: "s", envRegion: "eu-west-1"},
			want: config{port: 8080, database: postgres.Config{MaxConns: 10}, secretName: "s", region: "eu-west-1", http: defaults},
		},
		{
			name: "AWS, without a password",
			env: env{
				envDatabaseUser: "todo", envDatabaseHost: "db", envDatabaseName: "tasks", envRegion: "eu-west-1",
				envAdminSecret: `{"username":"master","password":"hunter2"}`,
			},
			want: config{
				port: 8080, user: "todo", region: "eu-west-1", http: defaults,
				database: postgres.Config{Host: "db", Name: "tasks", MaxConns: 10, Admin: credentials.Login{Username: "master", Password: "hunter2"}},
			},
		},
		{
			name: "AWS, without a password and without a master",
			env:  env{envDatabaseUser: "todo", envDatabaseHost: "db", envDatabaseName: "tasks", envRegion: "eu-west-1"},
			want: config{
				port: 8080, user: "todo", region: "eu-west-1", http: defaults,
				database: postgres.Config{Host: "db", Name: "tasks", MaxConns: 10},
			},
		},
		{
			name: "everything off",
			env: env{
				envDatabaseURL: "postgres://u:p@localhost/todo", envRateLimit: "0", envTrustedProxies: "0", envOrigins: "none", envSecurityHeaders: "off",
			},
			want: config{
				port: 8080, database: postgres.Config{URL: "postgres://u:p@localhost/todo", MaxConns: 10},
				http: httpapi.Settings{BodyLimit: 65536, MaxConnections: 1024},
			},
		},
		{
			name: "everything",
			env: env{
				envListenHost: "127.0.0.1", envPort: "9000", envLogLevel: "warn", envSecretName: "s", envRegion: "eu-west-1", envDatabaseHost: "db",
				envDatabasePort: "5433", envDatabaseName: "todo", envDatabaseHostAddr: "127.0.0.1:6000", envDatabaseMaxConns: "3",
				envAPIKeysSecret: "k", envBodyLimit: "1024", envMaxConnections: "9", envRateLimit: "7", envTrustedProxies: "2",
				envOrigins: "https://example.com, http://localhost:3000", envSecurityHeaders: "on",
			},
			want: config{
				listenHost: "127.0.0.1", port: 9000, logLevel: slog.LevelWarn, secretName: "s", region: "eu-west-1",
				database: postgres.Config{Host: "db", Port: 5433, Name: "todo", HostAddr: "127.0.0.1:6000", MaxConns: 3},
				apiKeys:  "k",
				http: httpapi.Settings{
					BodyLimit: 1024, MaxConnections: 9, RateLimit: 7, TrustedProxies: 2,
					Origins: []string{"https://example.com", "http://localhost:3000"}, SecurityHeaders: true,
				},
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := readConfig(tc.env.get)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(plain(tc.want), plain(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

var defaults = httpapi.Settings{BodyLimit: 65536, MaxConnections: 1024, RateLimit: 50, Origins: []string{"*"}, SecurityHeaders: true}

// plain makes a config comparable and its URL visible.
func plain(c config) map[string]any {
	return map[string]any{
		"listen": c.listenHost, "port": c.port, "level": c.logLevel.String(), "secret": c.secretName, "region": c.region,
		"url": string(c.database.URL), "host": c.database.Host, "dbport": c.database.Port,
		"name": c.database.Name, "addr": c.database.HostAddr, "conns": c.database.MaxConns,
		"keys": c.apiKeys, "http": c.http, "user": c.user, "admin": c.database.Admin.Username + ":" + string(c.database.Admin.Password),
	}
}

func TestReadConfigReportsEverythingAtOnce(t *testing.T) {
	for _, tc := range []struct {
		name string
		env  env
		want []string // all lines of the error
	}{
		{"nothing", env{}, []string{
			`AWS_SECRET_NAME="" must name the database's secret, unless DATABASE_USER logs in by IAM or DATABASE_URL is a whole DSN`,
			`AWS_REGION="" must name the region of the secret, unless DATABASE_URL is set`,
		}},
		{"by IAM, to nowhere", env{envDatabaseUser: "todo", envAdminSecret: "hunter2"}, []string{
			`DATABASE_ADMIN_SECRET=[REDACTED] must be a JSON object of username, password and optionally host, port, dbname`,
			`DATABASE_HOST="" must be set beside DATABASE_USER`,
			`DATABASE_NAME="" must be set beside DATABASE_USER`,
			`AWS_REGION="" must be set beside DATABASE_USER`,
		}},
		{"by IAM and by a secret, as the master", env{
			envDatabaseUser: "todo", envSecretName: "s", envDatabaseHost: "db", envDatabaseName: "tasks", envRegion: "eu-west-1",
			envAdminSecret: `{"username":"todo","password":"hunter2"}`,
		}, []string{
			`AWS_SECRET_NAME="s" must not be set beside DATABASE_USER`,
			`DATABASE_USER="todo" must be another than the one in DATABASE_ADMIN_SECRET`,
		}},
		{"a master for nobody", env{envSecretName: "s", envRegion: "eu-west-1", envAdminSecret: `{"username":"master","password":"hunter2"}`}, []string{
			`DATABASE_ADMIN_SECRET=[REDACTED] must not be set without DATABASE_USER`,
		}},
		{"all ways", env{envDatabaseURL: "postgres://u:hunter2@h/d", envDatabaseUser: "todo", envSecretName: "s"}, []string{
			`AWS_SECRET_NAME="s" must not be set beside DATABASE_URL`,
			`DATABASE_USER="todo" must not be set beside DATABASE_URL`,
		}},
		{"both ways", env{envDatabaseURL: "postgres://u:hunter2@h/d", envDatabaseHost: "h", envSecretName: "s"}, []string{
			`AWS_SECRET_NAME="s" must not be set beside DATABASE_URL`,
			`DATABASE_HOST="h" must not be set beside DATABASE_URL`,
		}},
		{"malformed", env{
			envListenHost: "localhost", envPort: "0", envDatabasePort: "70000", envDatabaseMaxConns: "none", envLogLevel: "loud",
			envDatabaseHostAddr: "localhost:1", envSecretName: "s", envRegion: "eu-west-1",
		}, []string{
			`LISTEN_HOST="localhost" must be an IP address`,
			`PORT="0" must be a number from 1 to 65535`,
			`LOG_LEVEL="loud" must be debug, info, warn or error`,
			`DATABASE_PORT="70000" must be a number from 1 to 65535`,
			`DATABASE_HOSTADDR="localhost:1" must be ip:port`,
			`DATABASE_MAX_CONNS="none" must be a whole number of at least 1`,
		}},
		{"malformed for clients", env{
			envDatabaseURL: "postgres://h/d", envAPIKeysSecret: "k", envBodyLimit: "1023", envMaxConnections: "0", envRateLimit: "-1", envTrustedProxies: "one",
			envOrigins: "https://example.com,https://example.com/app", envSecurityHeaders: "no",
		}, []string{
			`BODY_LIMIT="1023" must be a whole number from 1024 to 1048576`,
			`MAX_CONNECTIONS="0" must be a whole number from 1 to 65536`,
			`RATE_LIMIT="-1" must be a whole number from 0 to 1000000`,
			`TRUSTED_PROXIES="one" must be a whole number from 0 to 10`,
			`CORS_ORIGINS="https://example.com,https://example.com/app" must be *, none or a list of origins such as https://example.com,http://localhost:3000`,
			`SECURITY_HEADERS="no" must be on or off`,
			`AWS_REGION="" must name the region of the secret in API_KEYS_SECRET`,
		}},
		{"a URL's password stays hidden", env{envDatabaseURL: "postgres://u:hunter2@h:port/d"}, []string{
			`DATABASE_URL=[REDACTED] must be a PostgreSQL URL or keyword=value string`,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := readConfig(tc.env.get)
			if err == nil {
				t.Fatal("accepted")
			}
			if diff := cmp.Diff(tc.want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOrigins(t *testing.T) {
	for value, ok := range map[string]bool{
		"*": true, "none": true, "https://example.com": true, "http://localhost:3000": true, "https://[2001:db8::1]:8443": true, "https://a.example,https://b.example": true,
		"example.com": false, "https://": false, "https://example.com/": false, "https://example.com?": false, "https://u@example.com": false,
		"https://Example.com": false, "ftp://example.com": false, "null": false, "https://a.example,,https://b.example": false, "none,https://a.example": false,
		"https://*.example.com": false,
	} {
		_, err := readConfig(env{envDatabaseURL: "postgres://h/d", envOrigins: value}.get)
		if (err == nil) != ok {
			t.Errorf("%s: %v", value, err)
		}
	}
}
