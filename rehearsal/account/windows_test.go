package account

import "testing"

// RDS-18
func TestOverlap(t *testing.T) {
	for _, row := range []struct {
		daily, weekly string
		want          bool
	}{
		{"01:00-02:00", "sun:03:00-sun:04:00", false},
		{"01:00-03:00", "sun:03:00-sun:04:00", false},
		{"01:00-03:01", "sun:03:00-sun:04:00", true},
		{"03:15-03:45", "Mon:03:00-Mon:04:00", true},
		{"23:30-00:30", "wed:00:00-wed:01:00", true},
		{"23:30-00:30", "sun:23:45-mon:00:15", true},
		{"00:30-01:00", "sun:23:45-mon:00:15", false},
		{"12:00-12:30", "tue:13:00-thu:11:00", true},
	} {
		if got := overlap(row.daily, row.weekly); got != row.want {
			t.Errorf("%s and %s overlap: %t, want %t", row.daily, row.weekly, got, row.want)
		}
	}
}
