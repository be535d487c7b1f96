package credentials

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

const (
	// minAPIKey is the fewest bytes of a key: shorter ones are guessed.
	minAPIKey = 16
	// unknownPause is between two reads of the secret because of an unknown key.
	unknownPause = 5 * time.Second
	// keysWait is the age from which a request waits for the keys to be read again, so
	// that a key that was taken away in a quiet hour does not open the door once more.
	keysWait = 2 * cacheFor
)

// APIKeys knows the keys that a secret holds: a JSON array of strings, or a JSON
// object of names and keys. Keys have at least 16 bytes. It is safe for use by many
// goroutines.
type APIKeys struct {
	secrets  *SecretsManager
	secretID string
	keys     *cached[[]keyHash]
}

// keyHash makes all keys of one length, so that a comparison tells nothing of it, and
// keeps none in memory.
type keyHash [sha256.Size]byte

// NewAPIKeys reads the secret of that name or ARN. It makes no call yet.
func NewAPIKeys(secrets *SecretsManager, secretID string) *APIKeys {
	k := &APIKeys{secrets: secrets, secretID: secretID}
	k.keys = share(secrets.signer, "secret "+secretID, k.read)
	return k
}

// Check says whether key is one of the secret's. A key that was added within the last
// seconds is known; one that was taken away is refused within minutes. A secret that
// holds no usable key refuses every key. The error says that the secret could not be
// read yet, or that ctx ended.
func (k *APIKeys) Check(ctx context.Context, key string) (ok bool, err error) {
	known, err := k.keys.get(ctx)
	if err != nil || len(key) < minAPIKey {
		return false, err
	}
	presented := keyHash(sha256.Sum256([]byte(key)))
	if presented.in(known) {
		return true, nil
	}
	known, err = k.keys.renew(ctx, unknownPause)
	return err == nil && presented.in(known), err
}

// in takes the same time whichever it is.
func (h keyHash) in(known []keyHash) bool {
	found := 0
	for _, k := range known {
		found |= subtle.ConstantTimeCompare(h[:], k[:])
	}
	return found == 1
}

func (k *APIKeys) read(ctx context.Context) (reading[[]keyHash], error) {
	text, err := k.secrets.text(ctx, k.secretID)
	if err != nil {
		return reading[[]keyHash]{}, err
	}
	keys, problem := parseKeys(text)
	if problem != nil {
		k.secrets.signer.log.Error("API keys are refused", "error", fmt.Errorf("secret %s: %w", k.secretID, problem), "keys_left", len(keys))
	}
	now := k.secrets.signer.now()
	return reading[[]keyHash]{value: keys, renewAt: now.Add(cacheFor), waitAt: now.Add(keysWait)}, nil
}

// parseKeys gives the usable keys, and says what is wrong with the others without
// quoting anything.
func parseKeys(secret string) ([]keyHash, error) {
	var list []string
	if json.Unmarshal([]byte(secret), &list) != nil {
		var named map[string]string
		if json.Unmarshal([]byte(secret), &named) != nil {
			return nil, errors.New("must be a JSON array of keys, or a JSON object of names and keys")
		}
		list = slices.Collect(maps.Values(named))
	}
	if len(list) == 0 {
		return nil, errors.New("holds no key")
	}
	var keys []keyHash
	for _, key := range list {
		if len(key) >= minAPIKey {
			keys = append(keys, sha256.Sum256([]byte(key)))
		}
	}
	if short := len(list) - len(keys); short > 0 {
		return keys, fmt.Errorf("%d of its %d keys are shorter than %d bytes", short, len(list), minAPIKey)
	}
	return keys, nil
}
