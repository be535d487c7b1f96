// Package cost says what a stack's resources cost in a month: when nobody asks the service for anything, and when it
// works all month. What it has no price for it lists, and never guesses.
package cost

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// A Resource is one resource of a stack, planned or made. ID is empty when it is only planned.
type Resource struct {
	Type, ID string
	Inputs   map[string]any
}

// An Estimate is a month's bill.
type Estimate struct {
	Region  string
	Lines   []Line
	Unknown []string // what has no price here, each once
}

// A Line is one item of the bill; what is idle and busy is said in Assumptions.
type Line struct {
	Item, Unit string
	USD        float64 // for one unit
	Assumed    bool    // the price for one unit is
	Idle, Busy float64 // units
}

// Price is what the line costs, rounded as it is printed.
func (l Line) Price() (idle, busy Cents) { return cents(l.Idle * l.USD), cents(l.Busy * l.USD) }

// Cents are hundredths of a USD, so that the lines add up to the total.
type Cents int

func (c Cents) String() string { return fmt.Sprintf("%d.%02d", c/100, c%100) }

// What the figures take for granted beside what the resources say.
const (
	imageGB = 0.2

	idleGB, busyGB, busyMillions                            = 1, 1, 10
	protectedIdleGB, protectedBusyGB, protectedBusyMillions = 10, 50, 100
)

// Assumptions says what idle and busy mean.
const Assumptions = `Idle is a month without a request: a database that may pause does, others stay at their minimum, which is also when
App Runner bills memory alone. Busy is a month of work without a break: twice the minimum of service instances, all CPU in
use, and database instances at a quarter of their maximum, at least 1 ACU. The database holds 1 GB and takes 10 million
requests when busy; a protected one holds 10 GB, or 50 GB and takes 100 million. The images take 0.2 GB, and the
dashboard is one of the account's first three, which are free. On-demand prices, 730 hours; without taxes, and without data
transfer, logs and backups, which go by volume.`

// Of estimates resources in one region.
func Of(region string, resources []Resource) (Estimate, error) {
	if _, known := memoryHour.in[region]; !known {
		return Estimate{}, fmt.Errorf("no prices are known for %s, only for %s and %s", region, euWest1, usEast1)
	}
	b := &bill{Estimate: Estimate{Region: region}, resources: resources}
	for _, r := range resources {
		if of, priced := priced[r.Type]; priced {
			of(b, r)
		} else if !free[r.Type] && !ofEngine(r.Type) {
			b.unknown(r, "")
		}
	}
	slices.SortFunc(b.Lines, func(x, y Line) int { return strings.Compare(x.Item, y.Item) })
	slices.Sort(b.Unknown)
	return b.Estimate, nil
}

// Total is the sum of the lines as they are printed.
func (e Estimate) Total() (idle, busy Cents) {
	for _, line := range e.Lines {
		i, b := line.Price()
		idle, busy = idle+i, busy+b
	}
	return idle, busy
}

func (e Estimate) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "  %-60s %9s %9s\n", "USD a month in "+e.Region, "idle", "busy")
	for _, line := range e.Lines {
		mark := ""
		if line.Assumed {
			mark = " (assumed)"
		}
		idle, busy := line.Price()
		fmt.Fprintf(&out, "  %-60s %9s %9s\n", fmt.Sprintf("%s, %g%s per %s", line.Item, line.USD, mark, line.Unit), idle, busy)
	}
	idle, busy := e.Total()
	fmt.Fprintf(&out, "  %-60s %9s %9s\n", "together", idle, busy)
	for _, what := range e.Unknown {
		fmt.Fprintf(&out, "  not in these figures: %s\n", what)
	}
	return out.String()
}

// ofEngine says whether a type is Pulumi's own or a component of the program, which are nothing in the cloud.
func ofEngine(typ string) bool {
	return strings.HasPrefix(typ, "pulumi:") || strings.HasPrefix(typ, "todo:")
}

// A bill is an estimate in the making.
type bill struct {
	Estimate
	resources []Resource
}

// add puts a quantity of something on the bill, beside what is there of it.
func (b *bill) add(p price, idle, busy float64) {
	each := p.in[b.Region]
	i := slices.IndexFunc(b.Lines, func(l Line) bool { return l.Item == p.item })
	if i < 0 {
		i = len(b.Lines)
		b.Lines = append(b.Lines, Line{Item: p.item, Unit: p.unit, USD: each.usd, Assumed: each.assumed})
	}
	b.Lines[i].Idle += idle
	b.Lines[i].Busy += busy
}

// cents rounds half up, also where the binary fraction is a hair below the half.
func cents(usd float64) Cents { return Cents(math.Floor(usd*100 + 0.5 + 1e-6)) }

func (b *bill) unknown(r Resource, why string) {
	what := r.Type
	if why != "" {
		what += " (" + why + ")"
	}
	if !slices.Contains(b.Unknown, what) {
		b.Unknown = append(b.Unknown, what)
	}
}
