package account_test

import "testing"

// RDS-36
func TestWhatWaitsForTheMaintenanceWindowIsRefused(t *testing.T) {
	w := newCloud(t).world()
	w.props["older"] = w.props["cluster"].with(props{"clusterIdentifier": "todo-older", "engineVersion": "17.9"})
	w.made["older"] = w.make(w.made["cluster"].token, "older", w.props["older"])
	for _, row := range []struct {
		of     string
		change props
		waits  bool
	}{
		{"cluster", props{"iamDatabaseAuthenticationEnabled": true}, true},
		{"older", props{"engineVersion": "17.10"}, true},
		{"cluster", props{"backupRetentionPeriod": 7}, false},
		{"cluster", props{"serverlessv2ScalingConfiguration.maxCapacity": 4}, false},
		{"instance", props{"caCertIdentifier": "rds-ca-ecc384-g1"}, true},
		{"instance", props{"promotionTier": 2}, false},
	} {
		later := row.change.with(props{"applyImmediately": false})
		switch _, refused := w.update(w.made[row.of], w.props[row.of].with(later)); {
		case row.waits:
			w.mustRefuse(refused, "up", "that waits for the maintenance window, which the rehearsal does not model")
		case refused != nil:
			t.Errorf("%v was refused: %s", later, refused.text)
		}
		if _, refused := w.update(w.made[row.of], w.props[row.of].with(row.change)); refused != nil {
			t.Errorf("%v at once was refused: %s", row.change, refused.text)
		}
	}
}
