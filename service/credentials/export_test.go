package credentials

import "time"

// SetClock lets a test decide what time it is for everything that s reads.
func (s *SecretsManager) SetClock(now func() time.Time) { s.now = now }

// SetTryTimeout bounds one try instead of tryTimeout.
func (s *SecretsManager) SetTryTimeout(d time.Duration) { s.client.Timeout = d }

// Endpoint is where s asks.
func (s *SecretsManager) Endpoint() string { return s.endpoint }
