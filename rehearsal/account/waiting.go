package account

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// refuseWaiting refuses changes of inputs that AWS would keep for the next maintenance window: without applyImmediately it takes
// them, the provider reports them as made, and a preview finds the difference again until then. (RDS-36)
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.Modifying.html
func refuseWaiting(c *call, inputs ...resource.PropertyKey) error {
	if c.old == nil || c.flag("applyImmediately") {
		return nil
	}
	for _, name := range inputs {
		if now := c.Inputs[name]; c.Inputs.HasValue(name) && !now.DeepEquals(c.old[name]) {
			return c.refusal(c.kind.update, "InvalidParameterCombination", fmt.Sprintf(
				"%s changes, and without applyImmediately that waits for the maintenance window, which the rehearsal does not model", name))
		}
	}
	return nil
}

func checkInstance(c *call) error { return refuseWaiting(c, "caCertIdentifier") }
