// Package credentials tells as whom to log in to the database, now: with a password
// that Secrets Manager rotates and that is therefore never read only once, or with a
// token that it signs. It tells which API keys clients may present in the same way.
//
// While Secrets Manager is away, what was read before is served on; who is asked with
// it, the database, decides whether it is still good.
package credentials

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// cacheFor is short against the days between rotations and long against the
	// life of a burst of new connections.
	cacheFor = 5 * time.Minute
	// During a rotation the database refuses the old password a moment before the
	// secret has the new one: it is asked for that often, with that pause.
	rotationTries = 8
	rotationPause = 500 * time.Millisecond
)

// Login is what a secret holds. A secret that RDS manages holds only Username and
// Password; Host, Port and Database are then empty.
type Login struct {
	Username string
	Password Secret
	Host     string
	Port     uint16
	Database string
}

// Logins gives the login that a secret holds. It is safe for use by many goroutines,
// which share one call at a time.
type Logins struct {
	secrets  *SecretsManager
	secretID string
	login    *cached[Login]
	rejected atomic.Pointer[Secret] // the last, until the secret was read again
}

// NewLogins reads the secret of that name or ARN. It makes no call yet.
func NewLogins(secrets *SecretsManager, secretID string) *Logins {
	l := &Logins{secrets: secrets, secretID: secretID}
	l.login = share(secrets.signer, "secret "+secretID, l.read)
	return l
}

// Login gives the login, from memory when there is one; when that was read minutes
// ago, it is read again in the background. A read that is under way goes on for the
// others when ctx ends.
func (l *Logins) Login(ctx context.Context) (Login, error) { return l.login.get(ctx) }

// Reject drops the password that the database refused, so that the next Login
// asks anew. A password that was replaced meanwhile stays.
func (l *Logins) Reject(password Secret) {
	l.login.drop(func(known Login) bool {
		if known.Password != password {
			return false
		}
		l.rejected.Store(&password)
		return true
	})
}

func (l *Logins) read(ctx context.Context) (reading[Login], error) {
	for try := 1; ; try++ {
		text, err := l.secrets.text(ctx, l.secretID)
		if err != nil {
			return reading[Login]{}, err
		}
		login, err := ParseLogin(Secret(text))
		if err != nil {
			return reading[Login]{}, err
		}
		rejected := l.rejected.Load()
		if rejected == nil || *rejected != login.Password || try == rotationTries || pause(ctx, rotationPause) != nil {
			l.rejected.CompareAndSwap(rejected, nil)
			return reading[Login]{value: login, renewAt: l.secrets.signer.now().Add(cacheFor)}, nil
		}
	}
}

// ParseLogin reads the JSON that RDS and CDK write. Its errors never quote the secret,
// as those of encoding/json may.
func ParseLogin(secret Secret) (Login, error) {
	var fields struct {
		Username, Password, Host, DBName string
		Port                             json.Number // a string in secrets written by hand
	}
	if err := json.Unmarshal([]byte(secret), &fields); err != nil {
		return Login{}, errors.New("must be a JSON object of username, password and optionally host, port, dbname")
	}
	if fields.Username == "" || fields.Password == "" {
		return Login{}, errors.New("must hold username and password")
	}
	login := Login{Username: fields.Username, Password: Secret(fields.Password), Host: fields.Host, Database: fields.DBName}
	if fields.Port != "" {
		port, err := strconv.ParseUint(fields.Port.String(), 10, 16)
		if err != nil {
			return Login{}, errors.New("port must be a number from 1 to 65535")
		}
		login.Port = uint16(port)
	}
	return login, nil
}
