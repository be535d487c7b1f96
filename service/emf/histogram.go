package emf

import "math"

// A histogram has as many buckets as a metric may have values. Each is 15 % wider than
// the one before, so that they reach from 30 microseconds to 30 seconds, and what
// CloudWatch computes from them, such as p99, is within 8 % of the truth.
const (
	buckets  = 100
	smallest = 0.03 // milliseconds, the bound of the first
	growth   = 1.15
)

var logGrowth = math.Log(growth)

// histogram is of milliseconds.
type histogram struct {
	counts        [buckets]int
	min, max, sum float64
	count         int
}

func (h *histogram) add(ms float64) {
	if h.count == 0 {
		h.min, h.max = ms, ms
	}
	h.min, h.max = min(h.min, ms), max(h.max, ms)
	h.sum += ms
	h.count++
	h.counts[bucket(ms)]++
}

func bucket(ms float64) int {
	if ms <= smallest {
		return 0
	}
	return min(int(math.Ceil(math.Log(ms/smallest)/logGrowth)), buckets-1)
}

// values is a histogram as CloudWatch takes it, which the specification does not
// mention and AWS's own library writes:
// https://github.com/awslabs/aws-embedded-metrics-java/blob/main/src/main/java/software/amazon/cloudwatchlogs/emf/model/Histogram.java
type values struct {
	Values        []float64
	Counts        []int
	Max, Min, Sum float64
	Count         int
}

func (h *histogram) values() values {
	v := values{Max: h.max, Min: h.min, Sum: rounded(h.sum), Count: h.count}
	for i, n := range h.counts {
		if n > 0 {
			middle := rounded(smallest * math.Pow(growth, float64(i)-0.5))
			v.Values = append(v.Values, max(h.min, min(h.max, middle)))
			v.Counts = append(v.Counts, n)
		}
	}
	return v
}

// rounded is to the microsecond.
func rounded(ms float64) float64 { return math.Round(ms*1000) / 1000 }
