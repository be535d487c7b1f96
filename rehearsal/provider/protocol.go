package provider

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil/rpcerror"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"example.com/todo/rehearsal/schema"
)

// protocol answers the engine. It translates; what is true is decided by the cloud.
type protocol struct {
	pulumirpc.UnimplementedResourceProviderServer
	name, version string
	cloud         Cloud
}

func (p *protocol) Handshake(context.Context, *pulumirpc.ProviderHandshakeRequest) (*pulumirpc.ProviderHandshakeResponse, error) {
	return &pulumirpc.ProviderHandshakeResponse{SupportsAutonamingConfiguration: true}, nil
}

func (p *protocol) Attach(context.Context, *pulumirpc.PluginAttach) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (p *protocol) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: p.version}, nil
}

// Cancel has the provider stop waiting for what is under way; the cloud finishes it. (PRO-10)
// https://github.com/pulumi/pulumi-terraform-bridge/blob/v3.137.0/pkg/tfbridge/provider.go
func (p *protocol) Cancel(ctx context.Context, _ *emptypb.Empty) (*emptypb.Empty, error) {
	connectionOf(ctx).stop()
	return &emptypb.Empty{}, nil
}

func (p *protocol) CheckConfig(_ context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	args, err := unmarshal(req.GetNews())
	if err != nil {
		return nil, err
	}
	_, failures := p.cloud.Configure(args)
	return &pulumirpc.CheckResponse{Inputs: req.GetNews(), Failures: refused(failures)}, nil
}

func (p *protocol) DiffConfig(_ context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	olds, err := unmarshal(req.GetOldInputs())
	if err != nil {
		return nil, err
	}
	news, err := unmarshal(req.GetNews())
	if err != nil {
		return nil, err
	}
	response := &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}
	if difference := olds.Diff(news, resource.IsInternalPropertyKey); difference != nil {
		response.Changes = pulumirpc.DiffResponse_DIFF_SOME
		for _, key := range difference.Keys() {
			response.Diffs = append(response.Diffs, string(key))
		}
		if difference.Changed("region") {
			response.Replaces = []string{"region"}
		}
	}
	return response, nil
}

func (p *protocol) Configure(ctx context.Context, req *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse, error) {
	args, err := unmarshal(req.GetArgs())
	if err != nil {
		return nil, err
	}
	session, failures := p.cloud.Configure(args)
	if len(failures) > 0 {
		return nil, status.Errorf(codes.InvalidArgument, "configure the %s provider: %v", p.name, failures[0])
	}
	connectionOf(ctx).session = session
	return &pulumirpc.ConfigureResponse{SupportsPreview: true, SupportsAutonamingConfiguration: true}, nil
}

func (p *protocol) Check(ctx context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	urn := resource.URN(req.GetUrn())
	t, err := p.resourceType(urn)
	if err != nil {
		return nil, err
	}
	olds, err := unmarshal(req.GetOlds())
	if err != nil {
		return nil, err
	}
	news, err := unmarshal(req.GetNews())
	if err != nil {
		return nil, err
	}
	check := schema.CheckRequest{
		LogicalName: urn.Name(), Seed: req.GetRandomSeed(), Olds: olds, News: news,
		DefaultTags: connectionOf(ctx).session.DefaultTags,
	}
	if naming := req.GetAutonaming(); naming != nil {
		check.Naming = schema.Naming{
			Proposed: naming.GetProposedName(),
			Enforced: naming.GetMode() == pulumirpc.CheckRequest_AutonamingOptions_ENFORCE,
			Disabled: naming.GetMode() == pulumirpc.CheckRequest_AutonamingOptions_DISABLE,
		}
	}
	inputs, failures := t.Check(check)
	if len(failures) == 0 {
		failures = p.cloud.Complete(t.Token, inputs)
	}
	wire, err := marshal(inputs)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.CheckResponse{Inputs: wire, Failures: refused(failures)}, nil
}

func (p *protocol) Diff(_ context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	t, err := p.resourceType(resource.URN(req.GetUrn()))
	if err != nil {
		return nil, err
	}
	olds, err := unmarshal(req.GetOldInputs())
	if err != nil {
		return nil, err
	}
	news, err := unmarshal(req.GetNews())
	if err != nil {
		return nil, err
	}
	change := t.Diff(olds, news)
	response := &pulumirpc.DiffResponse{
		Changes: pulumirpc.DiffResponse_DIFF_NONE, HasDetailedDiff: true,
		DetailedDiff: map[string]*pulumirpc.PropertyDiff{},
		Replaces:     change.Replaces, DeleteBeforeReplace: change.DeleteFirst,
	}
	for path, diff := range change.Properties {
		response.Changes = pulumirpc.DiffResponse_DIFF_SOME
		response.Diffs = append(response.Diffs, path)
		response.DetailedDiff[path] = &pulumirpc.PropertyDiff{
			Kind: pulumirpc.PropertyDiff_Kind(diff.Kind), InputDiff: diff.InputDiff, //nolint:gosec // both enumerations are the protocol's
		}
	}
	return response, nil
}

func (p *protocol) Create(ctx context.Context, req *pulumirpc.CreateRequest) (*pulumirpc.CreateResponse, error) {
	urn := resource.URN(req.GetUrn())
	t, err := p.resourceType(urn)
	if err != nil {
		return nil, err
	}
	inputs, err := unmarshal(req.GetProperties())
	if err != nil {
		return nil, err
	}
	if req.GetPreview() {
		wire, err := marshal(t.Preview(inputs, nil))
		return &pulumirpc.CreateResponse{Properties: wire}, err
	}
	id, state, err := p.cloud.Create(ctx, connectionOf(ctx).session, urn, inputs)
	if err != nil {
		return nil, failed(err)
	}
	wire, err := marshal(state)
	return &pulumirpc.CreateResponse{Id: id, Properties: wire}, err
}

func (p *protocol) Read(ctx context.Context, req *pulumirpc.ReadRequest) (*pulumirpc.ReadResponse, error) {
	t, err := p.resourceType(resource.URN(req.GetUrn()))
	if err != nil {
		return nil, err
	}
	inputs, state, err := p.cloud.Read(ctx, connectionOf(ctx).session, t.Token, req.GetId())
	if errors.Is(err, ErrNotFound) {
		return &pulumirpc.ReadResponse{}, nil
	}
	if errors.Is(err, ErrAsKnown) {
		return &pulumirpc.ReadResponse{Id: req.GetId(), Inputs: req.GetInputs(), Properties: req.GetProperties()}, nil
	}
	if err != nil {
		return nil, failed(err)
	}
	if len(req.GetInputs().GetFields()) == 0 {
		inputs = schema.Imported(inputs)
	}
	wireInputs, err := marshal(inputs)
	if err != nil {
		return nil, err
	}
	wire, err := marshal(state)
	return &pulumirpc.ReadResponse{Id: req.GetId(), Inputs: wireInputs, Properties: wire}, err
}

func (p *protocol) Update(ctx context.Context, req *pulumirpc.UpdateRequest) (*pulumirpc.UpdateResponse, error) {
	t, err := p.resourceType(resource.URN(req.GetUrn()))
	if err != nil {
		return nil, err
	}
	inputs, err := unmarshal(req.GetNews())
	if err != nil {
		return nil, err
	}
	if req.GetPreview() {
		olds, err := unmarshal(req.GetOlds())
		if err != nil {
			return nil, err
		}
		wire, err := marshal(t.Preview(inputs, olds))
		return &pulumirpc.UpdateResponse{Properties: wire}, err
	}
	state, err := p.cloud.Update(ctx, connectionOf(ctx).session, t.Token, req.GetId(), inputs)
	if err != nil {
		return nil, failed(err)
	}
	wire, err := marshal(state)
	return &pulumirpc.UpdateResponse{Properties: wire}, err
}

func (p *protocol) Delete(ctx context.Context, req *pulumirpc.DeleteRequest) (*emptypb.Empty, error) {
	t, err := p.resourceType(resource.URN(req.GetUrn()))
	if err != nil {
		return nil, err
	}
	if err := p.cloud.Delete(ctx, connectionOf(ctx).session, t.Token, req.GetId()); err != nil {
		return nil, failed(err)
	}
	return &emptypb.Empty{}, nil
}

func (p *protocol) Invoke(ctx context.Context, req *pulumirpc.InvokeRequest) (*pulumirpc.InvokeResponse, error) {
	args, err := unmarshal(req.GetArgs())
	if err != nil {
		return nil, err
	}
	result, failures, err := p.cloud.Invoke(ctx, connectionOf(ctx).session, req.GetTok(), args)
	if err != nil {
		return nil, failed(err)
	}
	wire, err := marshal(result)
	return &pulumirpc.InvokeResponse{Return: wire, Failures: refused(failures)}, err
}

// resourceType knows what is modelled. (PRO-6)
func (p *protocol) resourceType(urn resource.URN) (*schema.Type, error) {
	t, known := p.cloud.Type(string(urn.Type()))
	if !known {
		return nil, status.Errorf(codes.Unimplemented, "the rehearsal does not know the resource type %s (of %q): model it before you use it", urn.Type(), urn.Name())
	}
	return t, nil
}

var wire = plugin.MarshalOptions{KeepUnknowns: true, SkipNulls: true}

func unmarshal(s *structpb.Struct) (resource.PropertyMap, error) {
	properties, err := plugin.UnmarshalProperties(s, wire)
	if err != nil {
		return nil, fmt.Errorf("read what the engine sent: %w", err)
	}
	return properties, nil
}

func marshal(properties resource.PropertyMap) (*structpb.Struct, error) {
	s, err := plugin.MarshalProperties(properties, wire)
	if err != nil {
		return nil, fmt.Errorf("write the answer to the engine: %w", err)
	}
	return s, nil
}

func refused(failures []schema.Failure) []*pulumirpc.CheckFailure {
	var all []*pulumirpc.CheckFailure
	for _, f := range failures {
		all = append(all, &pulumirpc.CheckFailure{Property: f.Property, Reason: f.Reason})
	}
	return all
}

func failed(err error) error {
	var incomplete *IncompleteError
	if !errors.As(err, &incomplete) {
		return status.Error(codes.Unknown, err.Error())
	}
	state, marshalErr := marshal(incomplete.State)
	if marshalErr != nil {
		return errors.Join(err, marshalErr)
	}
	return rpcerror.WithDetails(rpcerror.New(codes.Unknown, err.Error()), &pulumirpc.ErrorResourceInitFailed{
		Id: incomplete.ID, Properties: state, Reasons: []string{err.Error()},
	})
}
