package database

import "testing"

// The left columns are Aurora's table.
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html
func TestMaxConnectionsStaysBelowAurora(t *testing.T) {
	for capacity, accepted := range map[float64]int{1: 189, 4: 823, 8: 1669, 16: 3360, 32: 5000, 64: 5000, 256: 5000} {
		got := MaxConnections(1, capacity)
		if got > accepted || got < accepted*9/10 {
			t.Errorf("at %g units: %d, want at most %d and not much less", capacity, got, accepted)
		}
	}
}

func TestConnectionShare(t *testing.T) {
	tests := []struct {
		name       string
		min, max   float64
		maxCallers int
		want       int
	}{
		{"the smallest stack", 0, 1, 1, 84},
		{"the defaults", 0, 1, 2, 42},
		{"a half step", 0, 1.5, 2, 65},
		{"a small minimum caps the large", 0.5, 64, 10, 99},
		{"zero caps too", 0, 256, 25, 39},
		{"a whole unit does not", 1, 64, 10, 249},
		{"more callers than connections", 0, 1, 200, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := ConnectionShare(test.min, test.max, test.maxCallers); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}
