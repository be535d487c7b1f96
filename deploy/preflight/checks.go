package preflight

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"example.com/todo/infra/limit"
	"example.com/todo/infra/output"
	contract "example.com/todo/service/check"

	"example.com/todo/deploy/cloud"
)

// checks are made in this order. The last takes longest, and is made only when nothing else would stop a deployment.
var checks = []check{
	{"pulumi", nil, (*flight).checkCLI},
	{"login", []string{"pulumi"}, (*flight).checkLogin},
	{"passphrase", []string{"login"}, (*flight).checkPassphrase},
	{"stack", []string{"login"}, (*flight).checkStack},
	{"name", nil, (*flight).checkName},
	{"api key", []string{"stack"}, (*flight).checkAPIKey},
	{"region", []string{"stack"}, (*flight).checkRegion},
	{"credentials", []string{"region"}, (*flight).checkCredentials},
	{"app runner", []string{"credentials"}, (*flight).checkAppRunner},
	{"quotas", []string{"app runner"}, (*flight).checkQuotas},
	{"docker", nil, (*flight).checkDocker},
	{"plan", []string{"passphrase", "name", "app runner", "docker"}, (*flight).checkPlan},
}

// patience bounds the questions to AWS and to Docker, which otherwise wait long for somebody who is not there.
const patience = 30 * time.Second

func (f *flight) checkCLI(ctx context.Context) (string, error) {
	version, err := f.stack.Version(ctx)
	if err != nil {
		return "", fails(err, "install the Pulumi CLI: https://www.pulumi.com/docs/install/")
	}
	return version, nil
}

func (f *flight) checkLogin(ctx context.Context) (detail string, err error) {
	f.login, err = f.stack.Login(ctx)
	if err != nil {
		return "", fails(err, "run `pulumi login`, or set PULUMI_BACKEND_URL (a bucket) or PULUMI_ACCESS_TOKEN (Pulumi Cloud)")
	}
	return fmt.Sprintf("%s at %s", f.login.User, f.login.URL), nil
}

// checkPassphrase looks whether there is one where one is needed; whether it is the right one only the plan tells.
// https://www.pulumi.com/docs/iac/concepts/secrets/
func (f *flight) checkPassphrase(context.Context) (string, error) {
	if strings.HasPrefix(f.login.URL, "https://") {
		return "Pulumi Cloud keeps the secrets", nil
	}
	settings, err := os.ReadFile(filepath.Join(f.stack.Dir, "Pulumi."+f.stack.Name+".yaml"))
	if err == nil && strings.Contains("\n"+string(settings), "\nsecretsprovider:") {
		return "not needed: the stack has a secrets provider of its own", nil
	}
	for _, variable := range []string{"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"} {
		if _, set := os.LookupEnv(variable); set {
			return variable + " is set", nil
		}
	}
	return "", fails(errors.New("the secrets are kept with a passphrase, and there is none"),
		"set PULUMI_CONFIG_PASSPHRASE to the one that the stack was made with")
}

func (f *flight) checkStack(ctx context.Context) (detail string, err error) {
	f.outputs, err = f.stack.Outputs(ctx)
	if err != nil {
		return "", fails(err, "run `pulumi stack init %s` once, or name a stack that `pulumi stack ls` lists", f.stack.Name)
	}
	f.config, err = f.stack.Config(ctx)
	if err != nil {
		return "", fails(err, "mend Pulumi.%s.yaml", f.stack.Name)
	}
	if len(f.outputs) == 0 {
		return f.stack.Name + ", not deployed yet", nil
	}
	return fmt.Sprintf("%s, deployed with version %s", f.stack.Name, f.outputs[output.Version]), nil
}

func (f *flight) checkName(context.Context) (string, error) {
	if err := limit.CheckName(f.project, f.stack.Name); err != nil {
		return "", fails(err, "choose another stack, or another project name in Pulumi.yaml")
	}
	return limit.PhysicalName(f.project, f.stack.Name), nil
}

// checkAPIKey looks whether what verifies the deployment afterwards will be let in; whether it is the right key the service tells.
func (f *flight) checkAPIKey(context.Context) (string, error) {
	if f.config["todo:apiKeysSecret"] == "" {
		return "not needed: the API is open", nil
	}
	if os.Getenv(contract.KeyVariable) == "" {
		return "", fails(errors.New("the service will want one, and there is none to verify the deployment with"),
			"set %s to one of the keys in %s", contract.KeyVariable, f.config["todo:apiKeysSecret"])
	}
	return contract.KeyVariable + " is set", nil
}

func (f *flight) checkRegion(ctx context.Context) (detail string, err error) {
	region := f.config["aws:region"]
	if !slices.Contains(limit.Regions(), region) {
		return "", fails(fmt.Errorf("there is no App Runner in %q", region),
			"run `pulumi config set aws:region REGION` with one of %s", strings.Join(limit.Regions(), ", "))
	}
	f.account, err = cloud.Open(ctx, region)
	return region, err
}

func (f *flight) checkCredentials(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	caller, err := f.account.Caller(ctx)
	if err != nil {
		return "", fails(err, "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in with `aws sso login`")
	}
	return caller, nil
}

func (f *flight) checkAppRunner(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	services, err := f.account.Services(ctx)
	if err != nil {
		return "", fails(err, "let the deployer use App Runner; an account that had no service before 30 April 2026 is refused by AWS: "+
			"https://docs.aws.amazon.com/apprunner/latest/dg/apprunner-availability-change.html")
	}
	if len(services) == 0 {
		return "", notes(errors.New("answers, and has no service of this account"),
			"AWS takes no new customers since 30 April 2026: whether this account may make a service shows when it tries")
	}
	return fmt.Sprintf("answers, with %d services", len(services)), nil
}

// checkQuotas asks for room for what a first deployment makes, and later for the second connector of a change of zones.
func (f *flight) checkQuotas(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	used, err := f.account.Usages(ctx)
	if err != nil {
		return "", notes(err, "let the deployer read them, or count by hand: 1 service, 1 VPC connector, 1 VPC, and 1 address with egress nat")
	}
	needed := []cloud.Usage{used.Connectors}
	if len(f.outputs) == 0 {
		needed = append(needed, used.Services, used.VPCs)
	}
	if len(f.outputs) == 0 && f.config["todo:egress"] == "nat" {
		needed = append(needed, used.Addresses)
	}
	var full, unsure []string
	for _, u := range needed {
		if u.Room() > 0 {
			continue
		}
		text := fmt.Sprintf("%d of %d %s are used", u.Used, u.Limit, u.Of)
		if u.Default {
			unsure = append(unsure, text+", by AWS's default")
		} else {
			full = append(full, text)
		}
	}
	const raise = "delete what nobody needs, or ask for more: https://console.aws.amazon.com/servicequotas/"
	if len(full) > 0 {
		return "", fails(errors.New(strings.Join(append(full, unsure...), "; ")), raise)
	}
	if len(unsure) > 0 {
		return "", notes(errors.New(strings.Join(unsure, "; ")), "unless more was granted to this account: "+raise)
	}
	return fmt.Sprintf("room for %d services, %d connectors, %d VPCs, %d addresses",
		used.Services.Room(), used.Connectors.Room(), used.VPCs.Room(), used.Addresses.Room()), nil
}

// checkDocker asks for the only platform that App Runner runs. https://github.com/aws/apprunner-roadmap/issues/98
func (f *flight) checkDocker(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	server, err := docker(ctx, "version", "--format", "{{.Server.Version}} {{.Server.Os}}/{{.Server.Arch}}")
	if err != nil {
		return "", fails(err, "install and start Docker, and let this user reach it: https://docs.docker.com/get-started/get-docker/")
	}
	if strings.HasSuffix(server, " "+platform) {
		return server, nil
	}
	builder, err := docker(ctx, "buildx", "inspect", "--bootstrap")
	if err == nil && strings.Contains(builder, platform) {
		return server + ", builds for " + platform, nil
	}
	return "", fails(errors.Join(fmt.Errorf("%s does not build for %s", server, platform), err),
		"let it emulate: docker run --privileged --rm tonistiigi/binfmt --install amd64")
}

const platform = "linux/amd64"

func docker(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "docker", args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return "", fmt.Errorf("docker %s: %w", args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}

// keeper is what holds the data.
const keeper = "aws:rds/cluster:Cluster"

// checkPlan has the program read its configuration and Pulumi say what it would do.
func (f *flight) checkPlan(ctx context.Context) (string, error) {
	plan, err := f.stack.Plan(ctx)
	if err != nil {
		return "", fails(err, "mend the configuration (Pulumi.%s.yaml; README.md lists the keys) or the program", f.stack.Name)
	}
	var counts []string
	for _, operation := range []string{"create", "update", "replace", "delete", "same"} {
		if n := plan.Summary[operation]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d to %s", n, operation))
		}
	}
	for _, step := range plan.Steps {
		if step.Type() == keeper && step.Op != "create" && step.Op != "update" && step.Op != "same" && step.Op != "refresh" {
			return "", fails(fmt.Errorf("%s: the plan is to %s the database %s, with its data", strings.Join(counts, ", "), step.Op, step.Name()),
				"take back what asks for that (another aws:region does); if you mean it: `pulumi up --stack %s`", f.stack.Name)
		}
	}
	return strings.ReplaceAll(strings.Join(counts, ", "), "to same", "unchanged"), nil
}
