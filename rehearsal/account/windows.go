package account

import (
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// overlap says whether a daily window (hh:mi-hh:mi) meets a weekly one (ddd:hh:mi-ddd:hh:mi). Both may cross midnight.
func overlap(daily, weekly string) bool {
	from, to := span(daily, day)
	start, end := span(weekly, 7*day)
	for d := -day; d <= 14*day; d += day {
		if from+d < end && start < to+d {
			return true
		}
	}
	return false
}

// span is when a window begins and ends, in the time since the beginning of its period.
func span(window string, period time.Duration) (from, to time.Duration) {
	before, after, _ := strings.Cut(window, "-")
	from, to = moment(before), moment(after)
	if to <= from {
		to += period
	}
	return from, to
}

// moment is the time of "02:30" in its day, or of "tue:02:30" in its week.
func moment(text string) time.Duration {
	var at time.Duration
	parts := strings.Split(strings.ToLower(text), ":")
	if len(parts) == 3 {
		at = time.Duration(strings.Index("montuewedthufrisatsun", parts[0])/3) * day
		parts = parts[1:]
	}
	for i, unit := range []time.Duration{time.Hour, time.Minute} {
		if n, err := strconv.Atoi(parts[i]); err == nil {
			at += time.Duration(n) * unit
		}
	}
	return at
}
