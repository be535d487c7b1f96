package trace

import (
	"encoding/binary"
	"strings"
)

// Sampler decides which traces are kept. The zero Sampler keeps none.
type Sampler struct {
	// below bounds the 63 random bits of a trace id, so that every service of a trace
	// that has the same ratio decides alike.
	below       uint64
	parentBased bool // what the caller decided holds
}

const (
	parentBased = "parentbased_"
	alwaysOn    = "always_on"
	alwaysOff   = "always_off"
	byRatio     = "traceidratio"
)

// Samplers are the names that [NewSampler] knows.
var Samplers = []string{
	alwaysOn, alwaysOff, byRatio,
	parentBased + alwaysOn, parentBased + alwaysOff, parentBased + byRatio,
}

// NewSampler makes the sampler that OpenTelemetry calls so; ratio, from 0 to 1, is for
// those by ratio. It says whether there is such a sampler.
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
func NewSampler(name string, ratio float64) (s Sampler, ok bool) {
	name, s.parentBased = strings.CutPrefix(name, parentBased)
	switch name {
	case alwaysOn:
		ratio = 1
	case alwaysOff:
		ratio = 0
	case byRatio:
	default:
		return Sampler{}, false
	}
	s.below = uint64(ratio * (1 << 63))
	return s, true
}

func (s Sampler) wants(caller place) bool {
	if s.parentBased && caller.sampled != undecided {
		return caller.sampled == keep
	}
	return binary.BigEndian.Uint64(caller.traceID[8:])>>1 < s.below
}
