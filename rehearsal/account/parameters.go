package account

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A parameter is a setting of a cluster parameter group: one of the choices, or a number. A static one waits for the next
// start.
type parameter struct {
	static      bool
	choices     []string
	least, most int
}

var (
	onOrOff      = parameter{choices: []string{"0", "1"}}
	milliseconds = parameter{least: 0, most: math.MaxInt32}
	orNever      = parameter{least: -1, most: math.MaxInt32}
)

// parameters are those that the rehearsal knows. All but the libraries, which PostgreSQL does not have here, take effect. (RDS-5)
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraPostgreSQL.Reference.ParameterGroups.html
var parameters = map[string]parameter{
	forceTLS: onOrOff, "log_connections": onOrOff, "log_disconnections": onOrOff, "log_lock_waits": onOrOff,
	"log_min_duration_statement": orNever, "log_temp_files": orNever,
	"log_statement":     {choices: []string{"none", "ddl", "mod", "all"}},
	"statement_timeout": milliseconds, "lock_timeout": milliseconds,
	"idle_in_transaction_session_timeout": milliseconds, "idle_session_timeout": milliseconds,
	connectionLimit: {static: true, least: 6, most: 262143},
	libraries:       {static: true, choices: []string{"auto_explain", "orafce", "pgaudit", "pg_cron", "pg_stat_statements"}},
}

// allowed is as AWS writes it.
func (p parameter) allowed() string {
	if p.choices != nil {
		return strings.Join(p.choices, ",")
	}
	return fmt.Sprintf("%d-%d", p.least, p.most)
}

func (p parameter) allows(value string) bool {
	if p.choices != nil {
		return slices.Contains(p.choices, value)
	}
	n, err := strconv.Atoi(value)
	return err == nil && p.least <= n && n <= p.most
}

const (
	forceTLS        = "rds.force_ssl"
	connectionLimit = "max_connections"
	libraries       = "shared_preload_libraries"
)

// RDS-5
func checkParameters(c *call) error {
	const operation = "ModifyDBClusterParameterGroup"
	for i := range c.elements("parameters") {
		at := []string{"parameters", strconv.Itoa(i)}
		name, value := c.str(append(at, "name")...), c.str(append(at, "value")...)
		p, known := parameters[name]
		if !known {
			return c.refusal(operation, "InvalidParameterValue", "the rehearsal does not know the parameter "+name)
		}
		if p.static && c.str(append(at, "applyMethod")...) == "immediate" {
			return c.refusal(operation, "InvalidParameterCombination", "cannot use immediate apply method for static parameter")
		}
		if !p.allows(value) {
			return c.refusal(operation, "InvalidParameterValue", fmt.Sprintf("Invalid parameter value: %s for: %s allowed values are: %s", value, name, p.allowed()))
		}
	}
	return nil
}

// parameters are a parameter group's own values, by name.
func (r *Resource) parameters() map[string]string {
	own := map[string]string{}
	for i := range r.elements("parameters") {
		own[r.str("parameters", strconv.Itoa(i), "name")] = r.str("parameters", strconv.Itoa(i), "value")
	}
	return own
}

// settings are a cluster's, of PostgreSQL, and whether it takes connections without TLS: by default it does so before
// version 17. (RDS-25, RDS-26)
func (a *Account) settings(cluster *Resource) (settings map[string]string, plainToo bool) {
	scaling := func(limit string) float64 { return cluster.num("serverlessv2ScalingConfiguration", limit) }
	settings = map[string]string{connectionLimit: strconv.Itoa(mostConnections(scaling("minCapacity"), scaling("maxCapacity")))}
	version, err := strconv.Atoi(major(cluster.str("engineVersionActual")))
	plainToo = err == nil && version < 17
	if group := a.find(tokenParameterGroup, cluster.str("dbClusterParameterGroupName")); group != nil {
		for name, value := range group.parameters() {
			switch name {
			case forceTLS:
				plainToo = value == "0"
			case libraries:
			default:
				settings[name] = value
			}
		}
	}
	return settings, plainToo
}

// connectionTable is Aurora's, of maximum capacity and max_connections; between its lines we take the straight one. A
// minimum of 0 or 0.5 units caps it. (RDS-25)
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html
var connectionTable = [][2]float64{{1, 189}, {4, 823}, {8, 1669}, {16, 3360}, {32, 5000}, {256, 5000}}

func mostConnections(minimum, maximum float64) int {
	limit := 5000.0
	if minimum <= 0.5 {
		limit = 2000
	}
	for i := 1; i < len(connectionTable); i++ {
		low, high := connectionTable[i-1], connectionTable[i]
		if maximum <= high[0] {
			return int(min(limit, math.Floor(low[1]+(maximum-low[0])/(high[0]-low[0])*(high[1]-low[1]))))
		}
	}
	return int(limit)
}
