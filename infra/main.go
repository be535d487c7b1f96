// Command infra is the Pulumi program that declares the todo service's cloud.
package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"example.com/todo/infra/stack"
)

func main() {
	pulumi.Run(stack.Deploy)
}
