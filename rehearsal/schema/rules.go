package schema

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// A Rule says in the provider's words what is wrong with a known value, or "" when nothing is.
type Rule func(resource.PropertyValue) string

func complaints(rules []Rule, value resource.PropertyValue) []string {
	var all []string
	for _, rule := range rules {
		if complaint := rule(value); complaint != "" {
			all = append(all, complaint)
		}
	}
	return all
}

// Length bounds a string's length, or the number of a list's elements.
func Length(least, most int) Rule {
	return func(v resource.PropertyValue) string {
		n := 0
		if v.IsString() {
			n = len(v.StringValue())
		} else {
			n = len(v.ArrayValue())
		}
		if n < least || n > most {
			return fmt.Sprintf("expected length to be in the range (%d - %d), got %s", least, most, show(v))
		}
		return ""
	}
}

// Match demands that a string matches pattern; say names the rule for people.
func Match(pattern, say string) Rule {
	re := regexp.MustCompile(pattern)
	return func(v resource.PropertyValue) string {
		if !re.MatchString(v.StringValue()) {
			return fmt.Sprintf("invalid value %q (%s)", v.StringValue(), say)
		}
		return ""
	}
}

// Never demands that a string does not match pattern; say names the rule for people.
func Never(pattern, say string) Rule {
	re := regexp.MustCompile(pattern)
	return func(v resource.PropertyValue) string {
		if re.MatchString(v.StringValue()) {
			return fmt.Sprintf("invalid value %q (%s)", v.StringValue(), say)
		}
		return ""
	}
}

// OneOf demands one of the listed strings.
func OneOf(allowed ...string) Rule {
	return func(v resource.PropertyValue) string {
		if !slices.Contains(allowed, v.StringValue()) {
			return fmt.Sprintf("expected to be one of [%s], got %s", strings.Join(allowed, " "), v.StringValue())
		}
		return ""
	}
}

// Between bounds a number.
func Between(least, most float64) Rule {
	return func(v resource.PropertyValue) string {
		if n := v.NumberValue(); n < least || n > most {
			return fmt.Sprintf("expected to be in the range (%v - %v), got %v", least, most, n)
		}
		return ""
	}
}

// AnyOf demands one of the listed numbers.
func AnyOf(allowed ...float64) Rule {
	return func(v resource.PropertyValue) string {
		if !slices.Contains(allowed, v.NumberValue()) {
			return fmt.Sprintf("expected to be one of %v, got %v", allowed, v.NumberValue())
		}
		return ""
	}
}

// Steps demands a multiple of step.
func Steps(step float64) Rule {
	return func(v resource.PropertyValue) string {
		if n := v.NumberValue() / step; n != math.Trunc(n) {
			return fmt.Sprintf("expected a multiple of %v, got %v", step, v.NumberValue())
		}
		return ""
	}
}

// Equals demands one value, where the cloud knows more but the rehearsal models only this.
func Equals(only string) Rule {
	return func(v resource.PropertyValue) string {
		if v.StringValue() != only {
			return fmt.Sprintf("the rehearsal models %q only, got %q", only, v.StringValue())
		}
		return ""
	}
}

// Network demands a CIDR block in its canonical form with a prefix between least and most bits.
func Network(least, most int) Rule {
	return func(v resource.PropertyValue) string {
		prefix, err := netip.ParsePrefix(v.StringValue())
		if err != nil {
			return fmt.Sprintf("%q is not a valid CIDR block: %v", v.StringValue(), err)
		}
		if prefix != prefix.Masked() {
			return fmt.Sprintf("%q is not a valid CIDR block; did you mean %q?", prefix, prefix.Masked())
		}
		if prefix.Bits() < least || prefix.Bits() > most {
			return fmt.Sprintf("expected %q to contain a network prefix between /%d and /%d", prefix, least, most)
		}
		return ""
	}
}

// JSON demands a JSON document.
func JSON(v resource.PropertyValue) string {
	if !json.Valid([]byte(v.StringValue())) {
		return "contains an invalid JSON policy"
	}
	return ""
}

func show(v resource.PropertyValue) string {
	if v.IsString() {
		return v.StringValue()
	}
	return fmt.Sprintf("%d elements", len(v.ArrayValue()))
}
