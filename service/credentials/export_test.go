package credentials

import "time"

// SetClock lets a test decide what time it is for everything that is read with s.
func (s *Signer) SetClock(now func() time.Time) { s.now = now }

// SetTryTimeout bounds one try instead of tryTimeout.
func (s *SecretsManager) SetTryTimeout(d time.Duration) { s.signer.client.Timeout = d }

// Endpoint is where s asks.
func (s *SecretsManager) Endpoint() string { return s.endpoint }
