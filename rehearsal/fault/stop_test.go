package fault_test

import (
	"fmt"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/protobuf/types/known/structpb"

	"example.com/todo/rehearsal/provider"
)

// PRO-10, PRO-11
func TestProvidersThatAreStopped(t *testing.T) {
	w := newWorld(t)
	instance, err := plugin.MarshalProperties(w.inputs(instanceToken, "instance", w.instance()), plugin.MarshalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	server, err := provider.Serve("aws", "6.83.2", w.cloud)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, row := range []struct {
		name string
		end  func(pulumirpc.ResourceProviderClient) error
		code codes.Code
		// told says that the engine learns what there is.
		told bool
	}{
		{"told to stop", func(client pulumirpc.ResourceProviderClient) error {
			_, err := client.Cancel(t.Context(), &emptypb.Empty{})
			return err
		}, codes.Unknown, true},
		{"ended", func(pulumirpc.ResourceProviderClient) error { return server.Restart() }, codes.Unavailable, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			conn, err := grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", server.Port), grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }() // it may be cut
			client := pulumirpc.NewResourceProviderClient(conn)
			args, err := structpb.NewStruct(map[string]any{"region": "eu-west-1"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.Configure(t.Context(), &pulumirpc.ConfigureRequest{Args: args}); err != nil {
				t.Fatal(err)
			}
			met := w.inject("rds:CreateDBInstance=1000h")
			answered := make(chan error, 1)
			go func() {
				_, err := client.Create(t.Context(), &pulumirpc.CreateRequest{Urn: string(urn(instanceToken, "instance")), Properties: instance})
				answered <- err
			}()
			<-met
			await(t, "the instance is taken", func() bool { return w.account.Count() == 6 })
			if err := row.end(client); err != nil {
				t.Fatal(err)
			}
			answer := status.Convert(<-answered)
			if answer.Code() != row.code || (len(answer.Details()) > 0) != row.told {
				t.Errorf("the engine is answered %v %v, want %v; told what there is: %t", answer.Code(), answer, row.code, row.told)
			}
			w.injector.Wait()
			if err := w.cloud.Delete(t.Context(), session, instanceToken, "todo-1"); err != nil {
				t.Fatal(err)
			}
		})
	}
}
