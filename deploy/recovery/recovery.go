// Package recovery tells Pulumi what there is in AWS that it does not know of, after an update that was cut off: AWS finishes
// what it has begun, and the next update would make it once more, which AWS refuses.
package recovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"example.com/todo/deploy/cloud"
	"example.com/todo/deploy/pulumi"
)

// A Recovery is of one stack.
type Recovery struct {
	Stack   pulumi.Stack
	Account *cloud.Account
	// Tags are on all that the stack makes.
	Tags map[string]string
	// Unlock takes the lock away that an update has left behind. It must have ended.
	Unlock bool
	Out    io.Writer
}

// Run recovers the stack's state. It changes nothing in AWS.
func (r *Recovery) Run(ctx context.Context) error {
	if r.Unlock {
		if err := r.Stack.Cancel(ctx, r.Out); err != nil {
			return err
		}
	}
	// Creates that were under way are forgotten here: what there is of them is found below.
	if err := r.Stack.Refresh(ctx, r.Out); errors.Is(err, pulumi.ErrLocked) {
		return fmt.Errorf("%w: if the update that holds the lock has ended, recover with --unlock", err)
	} else if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "todo-recovery-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	return errors.Join(r.adopt(ctx, filepath.Join(folder, "import.json")), os.RemoveAll(folder))
}

// adopt imports what is there and what the plan would create. Pulumi writes the file, but for the ids.
func (r *Recovery) adopt(ctx context.Context, file string) error {
	plan, err := r.Stack.PlanImport(ctx, file)
	if err != nil {
		return err
	}
	known, err := r.Stack.Known(ctx)
	if err != nil {
		return err
	}
	tagged, err := r.Account.Tagged(ctx, r.Tags)
	if err != nil {
		return err
	}
	unknown := slices.DeleteFunc(tagged, func(arn string) bool { return known[arn] || known[idOf(arn)] })
	slices.Sort(unknown)
	creates := slices.DeleteFunc(plan.Steps, func(s pulumi.Step) bool { return s.Op != "create" })
	found, left := match(creates, unknown)
	if len(found) == 0 {
		fmt.Fprintln(r.Out, "there is nothing in AWS that the next update would make")
	} else if err := r.importAll(ctx, file, creates, found); err != nil {
		return err
	}
	for _, arn := range left {
		fmt.Fprintf(r.Out, "left      %s: Pulumi does not know it, and nothing says for what it was made; delete it in the console\n", arn)
	}
	return nil
}

// An imports is Pulumi's file. https://www.pulumi.com/docs/iac/guides/migration/import/#bulk-import-operations
type imports struct {
	NameTable map[string]string `json:"nameTable"`
	Resources []map[string]any  `json:"resources"`
}

func (r *Recovery) importAll(ctx context.Context, file string, creates []pulumi.Step, found map[string]string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read what Pulumi would import: %w", err)
	}
	var all imports
	if err := json.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("read what Pulumi would import: %w", err)
	}
	var chosen []map[string]any
	for _, step := range creates {
		id, is := found[step.URN]
		if !is {
			continue
		}
		for _, entry := range all.Resources {
			if entry["type"] == step.Type() && (entry["name"] == step.Name() || entry["logicalName"] == step.Name()) {
				entry["id"] = id
				chosen = append(chosen, entry)
				fmt.Fprintf(r.Out, "adopt     %s %s, which is %s\n", step.Type(), step.Name(), id)
			}
		}
	}
	all.Resources = chosen
	if text, err = json.Marshal(all); err != nil {
		return fmt.Errorf("write what Pulumi is to import: %w", err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return fmt.Errorf("write what Pulumi is to import: %w", err)
	}
	return r.Stack.Import(ctx, file, r.Out)
}
