package cloud

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/todo/deploy/cloud/cloudtest"
)

// open has the SDK ask that AWS.
func open(t *testing.T, aws cloudtest.AWS) *Account {
	t.Helper()
	aws.Serve(t)
	account, err := Open(t.Context(), "eu-west-1")
	if err != nil {
		t.Fatal(err)
	}
	return account
}

const arn = "arn:aws:apprunner:eu-west-1:123456789012:service/todo-dev/0a1b"

func TestCaller(t *testing.T) {
	got, err := open(t, cloudtest.AWS{"GetCallerIdentity": cloudtest.Always(`<GetCallerIdentityResponse><GetCallerIdentityResult>
		<Arn>arn:aws:iam::123456789012:user/ada</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>`)}).Caller(t.Context())
	if err != nil || got != "arn:aws:iam::123456789012:user/ada" {
		t.Errorf("caller %q, %v", got, err)
	}
}

func TestServicesAreReadToTheLastPage(t *testing.T) {
	account := open(t, cloudtest.AWS{"ListServices": func(body string) (int, string) {
		if strings.Contains(body, "second") {
			return http.StatusOK, `{"ServiceSummaryList":[{"ServiceName":"b","ServiceArn":"arn:b","Status":"CREATE_FAILED"}]}`
		}
		return http.StatusOK, `{"ServiceSummaryList":[{"ServiceName":"a","ServiceArn":"arn:a","Status":"RUNNING"}],"NextToken":"second"}`
	}})
	got, err := account.Services(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, []Service{{"a", "arn:a", "RUNNING"}, {"b", "arn:b", "CREATE_FAILED"}}); diff != "" {
		t.Errorf("services (-got +want):\n%s", diff)
	}
}

func TestRefusalsAreInAWSsWords(t *testing.T) {
	account := open(t, cloudtest.AWS{})
	_, err := account.Services(t.Context())
	if err == nil || !strings.Contains(err.Error(), "AccessDeniedException: not authorized to perform: ListServices") {
		t.Errorf("got %v", err)
	}
}

func TestLastOperationIsTheNewest(t *testing.T) {
	account := open(t, cloudtest.AWS{"ListOperations": cloudtest.Always(`{"OperationSummaryList":[
		{"Type":"CREATE_SERVICE","Status":"SUCCEEDED","StartedAt":1700000000},
		{"Type":"UPDATE_SERVICE","Status":"ROLLBACK_SUCCEEDED","StartedAt":1700000900},
		{"Type":"UPDATE_SERVICE","Status":"SUCCEEDED","StartedAt":1700000500}]}`)})
	got, err := account.LastOperation(t.Context(), arn)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Operation{"UPDATE_SERVICE", "ROLLBACK_SUCCEEDED", time.Unix(1700000900, 0).UTC()}); got != want || !got.Failed() {
		t.Errorf("operation %v, failed %t, want %v, which failed", got, got.Failed(), want)
	}
	if _, err := open(t, cloudtest.AWS{"ListOperations": cloudtest.Always(`{"OperationSummaryList":[]}`)}).LastOperation(t.Context(), arn); err == nil {
		t.Error("an operation out of nothing")
	}
}

func TestHowOperationsEnd(t *testing.T) {
	for status, failed := range map[string]bool{
		"SUCCEEDED": false, "PENDING": false, "IN_PROGRESS": false, "FAILED": true,
		"ROLLBACK_IN_PROGRESS": true, "ROLLBACK_SUCCEEDED": true, "ROLLBACK_FAILED": true,
	} {
		if got := (Operation{Status: status}).Failed(); got != failed {
			t.Errorf("%s has failed: %t", status, got)
		}
	}
}

func TestLog(t *testing.T) {
	since := time.Unix(1700000000, 0)
	account := open(t, cloudtest.AWS{"FilterLogEvents": func(body string) (int, string) {
		var asked struct {
			LogGroupName string `json:"logGroupName"`
			StartTime    int64  `json:"startTime"`
			NextToken    string `json:"nextToken"`
		}
		if err := json.Unmarshal([]byte(body), &asked); err != nil {
			return http.StatusBadRequest, err.Error()
		}
		switch {
		case asked.LogGroupName != "/there":
			return http.StatusBadRequest, `{"__type":"ResourceNotFoundException","message":"The specified log group does not exist."}`
		case asked.StartTime != since.UnixMilli():
			return http.StatusBadRequest, fmt.Sprintf(`{"__type":"InvalidParameterException","message":"since %d"}`, asked.StartTime)
		case asked.NextToken == "":
			return http.StatusOK, `{"events":[{"timestamp":1700000002000,"logStreamName":"events","message":"second\n"}],"nextToken":"more"}`
		default:
			return http.StatusOK, `{"events":[{"timestamp":1700000001000,"logStreamName":"deployment/1","message":"first"}]}`
		}
	}})
	got, err := account.Log(t.Context(), "/there", since)
	if err != nil {
		t.Fatal(err)
	}
	want := []Line{{time.Unix(1700000001, 0), "deployment/1", "first"}, {time.Unix(1700000002, 0), "events", "second"}}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("lines (-got +want):\n%s", diff)
	}
	if got, err := account.Log(t.Context(), "/gone", since); err != nil || len(got) > 0 {
		t.Errorf("a group that is not there: %v, %v", got, err)
	}
}

func TestUsages(t *testing.T) {
	account := open(t, cloudtest.AWS{
		"ListServices":      cloudtest.Always(`{"ServiceSummaryList":[{"ServiceName":"a"},{"ServiceName":"b"}]}`),
		"ListVpcConnectors": cloudtest.Always(`{"VpcConnectors":[{},{},{}]}`),
		"DescribeVpcs":      cloudtest.Always(`<DescribeVpcsResponse><vpcSet><item><vpcId>vpc-1</vpcId></item><item><vpcId>vpc-2</vpcId></item></vpcSet></DescribeVpcsResponse>`),
		"DescribeAddresses": cloudtest.Always(`<DescribeAddressesResponse><addressesSet/></DescribeAddressesResponse>`),
		"GetServiceQuota": func(body string) (int, string) {
			if strings.Contains(body, vpcsCode) {
				return http.StatusOK, `{"Quota":{"Value":20}}`
			}
			return http.StatusBadRequest, `{"__type":"NoSuchResourceException","message":"no such quota"}`
		},
	})
	got, err := account.Usages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Usages{
		Services: Usage{"App Runner services", 2, 30, true}, Connectors: Usage{"App Runner VPC connectors", 3, 10, true},
		VPCs: Usage{"VPCs", 2, 20, false}, Addresses: Usage{"elastic IP addresses", 0, 5, true},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("usages (-got +want):\n%s", diff)
	}
	if room := (Usage{Used: 7, Limit: 5}).Room(); room != 0 {
		t.Errorf("room for %d beyond the limit", room)
	}
}

func TestEC2SaysNo(t *testing.T) {
	account := open(t, cloudtest.AWS{
		"ListServices": cloudtest.Always(`{}`), "ListVpcConnectors": cloudtest.Always(`{}`),
		"DescribeVpcs": func(string) (int, string) {
			return http.StatusForbidden, `<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You are not authorized.</Message></Error></Errors></Response>`
		},
	})
	_, err := account.Usages(t.Context())
	if err == nil || !strings.Contains(err.Error(), "DescribeVpcs: 403 Forbidden UnauthorizedOperation: You are not authorized.") {
		t.Errorf("got %v", err)
	}
}
