// Command deploy deploys a stack to AWS with the Pulumi CLI and believes nobody: it looks before the deployment for what
// would stop it, and afterwards whether the deployed version answers, and why when it does not.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"example.com/todo/infra/limit"
	"example.com/todo/infra/output"
	"example.com/todo/service/check"

	"example.com/todo/deploy/cloud"
	"example.com/todo/deploy/preflight"
	"example.com/todo/deploy/pulumi"
	"example.com/todo/deploy/recovery"
	"example.com/todo/deploy/verify"
)

const usage = `usage:
  go run ./deploy preflight [--stack dev]   say what would stop a deployment
  go run ./deploy up        [--stack dev]   the same, then deploy, and make sure that the new version answers
  go run ./deploy recover   [--stack dev] [--unlock]   after an update that was cut off: tell Pulumi what there is`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 || !slices.Contains([]string{"preflight", "up", "recover"}, args[0]) {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(out)
	name := flags.String("stack", "dev", "the `stack` to deploy; Pulumi.STACK.yaml configures it")
	unlock := flags.Bool("unlock", false, "take the lock away that an update has left behind, once it has ended")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q\n%s", flags.Arg(0), usage)
	}
	root, project, err := repository()
	if err != nil {
		return err
	}
	d := &deployment{stack: pulumi.Stack{Dir: root, Name: *name}, project: project, out: out}
	if args[0] == "recover" {
		return d.recover(ctx, *unlock)
	}
	if err := preflight.Run(ctx, d.stack, project, func(r preflight.Result) { fmt.Fprintln(out, r) }); err != nil {
		return err
	}
	if args[0] == "preflight" {
		return nil
	}
	return d.up(ctx)
}

// repository finds Pulumi.yaml in the working directory or above it, and the project's name in it.
func repository() (root, project string, err error) {
	here, err := os.Getwd()
	if err != nil {
		return "", "", fmt.Errorf("find the repository: %w", err)
	}
	for at := here; ; at = filepath.Dir(at) {
		text, err := os.ReadFile(filepath.Join(at, "Pulumi.yaml"))
		if match := projectName.FindSubmatch(text); err == nil && match != nil {
			return at, string(match[1]), nil
		}
		if at == filepath.Dir(at) {
			return "", "", fmt.Errorf("no Pulumi.yaml with a name in %s or above it: run this inside the repository", here)
		}
	}
}

var projectName = regexp.MustCompile(`(?m)^name: *([\w.-]+)`)

// A deployment is one run of `up`.
type deployment struct {
	stack   pulumi.Stack
	project string
	out     io.Writer
}

// account is where the stack is.
func (d *deployment) account(ctx context.Context) (account *cloud.Account, config map[string]string, err error) {
	if config, err = d.stack.Config(ctx); err != nil {
		return nil, nil, err
	}
	account, err = cloud.Open(ctx, config["aws:region"])
	return account, config, err
}

func (d *deployment) recover(ctx context.Context, unlock bool) error {
	account, _, err := d.account(ctx)
	if err != nil {
		return err
	}
	r := &recovery.Recovery{Stack: d.stack, Account: account, Tags: output.Tags(d.project, d.stack.Name), Unlock: unlock, Out: d.out}
	if err := r.Run(ctx); err != nil {
		return fmt.Errorf("recover stack %s: %w", d.stack.Name, err)
	}
	fmt.Fprintf(d.out, "stack %s knows what there is: deploy it again\n", d.stack.Name)
	return nil
}

func (d *deployment) up(ctx context.Context) error {
	account, config, err := d.account(ctx)
	if err != nil {
		return err
	}
	before, err := d.lastOperation(ctx, account)
	if err != nil {
		return err
	}
	var printed bytes.Buffer
	if err := d.stack.Up(ctx, io.MultiWriter(d.out, &printed)); err != nil {
		return errors.Join(err, d.explain(ctx, account, before, printed.String()))
	}
	outputs, err := d.stack.Outputs(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\nmaking sure that %s answers\n", outputs[output.URL])
	err = (&verify.Deployment{
		Key: os.Getenv(check.KeyVariable),
		URL: outputs[output.URL], Version: outputs[output.Version], ServiceARN: outputs[output.ServiceARN],
		Client: &http.Client{Timeout: requestTimeout}, Log: d.out, Patience: verify.StandardPatience, Pause: verify.StandardPause,
	}).Run(ctx, account)
	if err != nil {
		if config["todo:access"] == "private" {
			fmt.Fprintln(d.out, "the service is private: this must run in its network")
		}
		return errors.Join(err, d.explain(ctx, account, before, printed.String()))
	}
	fmt.Fprintf(d.out, "stack %s is deployed: version %s at %s\n", d.stack.Name, outputs[output.Version], outputs[output.URL])
	return nil
}

// requestTimeout is above the 10 s within which the service answers.
const requestTimeout = 30 * time.Second

// lastOperation is what App Runner has done to the service so far, as far as it says; nothing when there is none.
func (d *deployment) lastOperation(ctx context.Context, account *cloud.Account) (cloud.Operation, error) {
	arn, err := d.service(ctx, account)
	if arn == "" || err != nil {
		return cloud.Operation{}, err
	}
	last, err := account.LastOperation(ctx, arn)
	if err != nil {
		fmt.Fprintf(d.out, "what App Runner did last is not known: %v\n", err)
		return cloud.Operation{}, nil
	}
	return last, nil
}

// explain shows what is known about a deployment that failed, as far as App Runner is concerned.
func (d *deployment) explain(ctx context.Context, account *cloud.Account, before cloud.Operation, printed string) error {
	if ctx.Err() != nil {
		return nil // stopped, not failed
	}
	arn, err := d.service(ctx, account)
	if err != nil {
		return err
	}
	var evidence verify.Evidence
	if arn != "" {
		evidence = verify.Gather(ctx, account, arn, before)
	}
	evidence.Engine = strings.Split(printed, "\n")
	fmt.Fprintln(d.out)
	evidence.Tell(d.out)
	return nil
}

// service finds the ARN by the output, or by the name after a failed first deployment, which has no outputs.
func (d *deployment) service(ctx context.Context, account *cloud.Account) (string, error) {
	outputs, err := d.stack.Outputs(ctx)
	if err != nil {
		return "", err
	}
	if arn := outputs[output.ServiceARN]; strings.HasPrefix(arn, "arn:") {
		return arn, nil
	}
	services, err := account.Services(ctx)
	if err != nil {
		return "", err
	}
	for _, s := range services {
		if s.Name == limit.PhysicalName(d.project, d.stack.Name) {
			return s.ARN, nil
		}
	}
	return "", nil
}
