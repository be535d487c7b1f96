package host

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"example.com/todo/rehearsal/account"
)

// longestToken is how long a token for a database may be good for.
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.html
const longestToken = 15 * time.Minute

// verifyToken answers who made a token to log in to a database's endpoint, host:port, as a role: a request to connect to it,
// signed in its query and written without a scheme. No error quotes the token. (RDS-32)
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.Connecting.html
func verifyToken(token, endpoint, role string, session func(string) (account.Credentials, bool), now time.Time) (account.Caller, error) {
	var nobody account.Caller
	host, rest, found := strings.Cut(token, "/?")
	query, err := url.ParseQuery(rest)
	if !found || err != nil || query.Get("X-Amz-Algorithm") != algorithm {
		return nobody, errors.New("it is no token that is signed with " + algorithm)
	}
	for _, must := range [][3]string{
		{"endpoint", host, endpoint}, {"action", query.Get("Action"), "connect"}, {"role", query.Get("DBUser"), role},
		{"signed headers", query.Get("X-Amz-SignedHeaders"), "host"},
	} {
		if must[1] != must[2] {
			return nobody, fmt.Errorf("its %s is %q, and must be %q", must[0], must[1], must[2])
		}
	}
	s := signed{
		scope: strings.Split(query.Get("X-Amz-Credential"), "/"), token: query.Get("X-Amz-Security-Token"),
		date: query.Get("X-Amz-Date"), signature: query.Get("X-Amz-Signature"),
	}
	holder, err := s.holder("rds-db", session)
	if err != nil {
		return nobody, err
	}
	seconds, err := strconv.Atoi(query.Get("X-Amz-Expires"))
	if life := time.Duration(seconds) * time.Second; err != nil || life <= 0 || life > longestToken {
		return nobody, fmt.Errorf("it expires after %q seconds, and must within %s", query.Get("X-Amz-Expires"), longestToken)
	}
	if err := s.within(time.Duration(seconds)*time.Second, now); err != nil {
		return nobody, err
	}
	query.Del("X-Amz-Signature")
	canonicalQuery := strings.ReplaceAll(query.Encode(), "+", "%20")
	canonical := strings.Join([]string{http.MethodGet, "/", canonicalQuery, "host:" + host + "\n", "host", digest(nil)}, "\n")
	if err := s.covers(canonical, holder); err != nil {
		return nobody, err
	}
	return account.Caller{RoleARN: holder.RoleARN, Region: s.scope[2]}, nil
}
