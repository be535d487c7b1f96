package host

import (
	"bufio"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"example.com/todo/rehearsal/account"
)

// The console is what AWS's tools ask about the account, in the protocols that they speak: it reads and changes nothing,
// and answers nobody but the deployer. (RUN-11)
type console struct {
	host *Host
	url  string
}

// DeployerEnvironment is what a tool of AWS needs in its environment to ask about this account and no other. (RUN-11)
func (h *Host) DeployerEnvironment() []string {
	keys := h.Account.Deployer()
	return []string{
		"AWS_ENDPOINT_URL=" + h.console.url,
		"AWS_ACCESS_KEY_ID=" + keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + keys.SecretAccessKey, "AWS_SESSION_TOKEN=" + keys.SessionToken,
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
	}
}

// An inquiry is one request to the console.
type inquiry struct {
	region, operation string
	body              []byte
}

func (q inquiry) read(into any) error { return json.Unmarshal(q.body, into) }

// An api is a service with the operations that the console knows; xml ones answer the query protocol, others JSON.
type api struct {
	service    string
	xml        bool
	operations map[string]func(*Host, inquiry) (any, error)
}

// apis are found by what a request names: the first half of its target, or the action of its form.
var apis = map[string]api{
	"AppRunner": {"apprunner", false, map[string]func(*Host, inquiry) (any, error){
		"ListServices": listServices, "ListOperations": listOperations, "ListVpcConnectors": listConnectors,
	}},
	"Logs_20140328":                     {"logs", false, map[string]func(*Host, inquiry) (any, error){"FilterLogEvents": filterLogEvents}},
	"ResourceGroupsTaggingAPI_20170126": {"tagging", false, map[string]func(*Host, inquiry) (any, error){"GetResources": getResources}},
	"ServiceQuotasV20190624":            {"servicequotas", false, map[string]func(*Host, inquiry) (any, error){"GetServiceQuota": serviceQuota}},
	"GetCallerIdentity":                 {"sts", true, map[string]func(*Host, inquiry) (any, error){"GetCallerIdentity": callerIdentity}},
	"DescribeVpcs":                      {"ec2", true, map[string]func(*Host, inquiry) (any, error){"DescribeVpcs": describeVPCs}},
	"DescribeAddresses":                 {"ec2", true, map[string]func(*Host, inquiry) (any, error){"DescribeAddresses": describeAddresses}},
}

func (c *console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	target, operation, named := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if !named {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		target, operation = form.Get("Action"), form.Get("Action")
	}
	to := apis[target]
	result, err := c.ask(r, body, to, operation)
	switch {
	case to.xml:
		answerXML(w, operation, result, err)
	case err != nil:
		answer(w, http.StatusBadRequest, awsJSON, map[string]string{"__type": code(err), "message": err.Error()})
	default:
		answer(w, http.StatusOK, awsJSON, result)
	}
}

func (c *console) ask(r *http.Request, body []byte, to api, operation string) (any, error) {
	answer := to.operations[operation]
	if answer == nil {
		return nil, &account.APIError{Operation: operation, Code: "UnknownOperationException", Message: "the rehearsal does not know the operation " + operation}
	}
	who, err := verify(r, body, to.service, c.host.Account.Session, time.Now())
	if err != nil {
		return nil, err
	}
	if who.RoleARN != account.DeployerARN {
		return nil, &account.APIError{Service: to.service, Operation: operation, Code: "AccessDeniedException",
			Message: fmt.Sprintf("User: %s is not authorized to perform: %s:%s", who.RoleARN, to.service, operation)}
	}
	return answer(c.host, inquiry{who.Region, operation, body})
}

func code(err error) string {
	var refusal *account.APIError
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return "InternalFailure"
}

func answerXML(w http.ResponseWriter, operation string, result any, err error) {
	w.Header().Set("Content-Type", "text/xml")
	document := struct {
		XMLName xml.Name
		Result  any
		Error   any `xml:"Error,omitempty"`
	}{XMLName: xml.Name{Local: operation + "Response"}, Result: result}
	if err != nil {
		w.WriteHeader(http.StatusForbidden)
		document.XMLName.Local = "ErrorResponse"
		document.Error = struct{ Code, Message string }{code(err), err.Error()}
	}
	_ = xml.NewEncoder(w).Encode(document) // a client that is gone is no error of ours
}

func callerIdentity(*Host, inquiry) (any, error) {
	return struct {
		XMLName              xml.Name `xml:"GetCallerIdentityResult"`
		Arn, Account, UserId string
	}{Arn: account.DeployerARN, Account: account.ID, UserId: "AIDAREHEARSAL"}, nil
}

// of lists a region's resources of a type.
func (h *Host) of(token, region string) []account.Resource {
	return slices.DeleteFunc(h.Account.Resources(), func(r account.Resource) bool { return r.Token != token || r.Region != region })
}

func describeVPCs(h *Host, q inquiry) (any, error) {
	type vpc struct {
		ID string `xml:"vpcId"`
	}
	set := struct {
		XMLName xml.Name `xml:"vpcSet"`
		Items   []vpc    `xml:"item"`
	}{}
	for _, r := range h.of("aws:ec2/vpc:Vpc", q.region) {
		set.Items = append(set.Items, vpc{r.ID})
	}
	return set, nil
}

func describeAddresses(h *Host, q inquiry) (any, error) {
	type address struct {
		ID string `xml:"allocationId"`
	}
	set := struct {
		XMLName xml.Name  `xml:"addressesSet"`
		Items   []address `xml:"item"`
	}{}
	for _, r := range h.of("aws:ec2/eip:Eip", q.region) {
		set.Items = append(set.Items, address{r.ID})
	}
	return set, nil
}

func serviceQuota(*Host, inquiry) (any, error) {
	return nil, &account.APIError{Service: "Service Quotas", Operation: "GetServiceQuota", Code: "NoSuchResourceException",
		Message: "the quotas here are AWS's defaults"}
}

func listServices(h *Host, q inquiry) (any, error) {
	var all []map[string]any
	for _, r := range h.of("aws:apprunner/service:Service", q.region) {
		all = append(all, map[string]any{
			"ServiceName": r.State["serviceName"].StringValue(), "ServiceArn": r.ID, "ServiceId": r.State["serviceId"].StringValue(),
			"ServiceUrl": r.State["serviceUrl"].StringValue(), "Status": r.State["status"].StringValue(),
		})
	}
	return map[string]any{"ServiceSummaryList": all}, nil
}

func listConnectors(h *Host, q inquiry) (any, error) {
	var all []map[string]any
	for _, r := range h.of("aws:apprunner/vpcConnector:VpcConnector", q.region) {
		all = append(all, map[string]any{"VpcConnectorArn": r.ID})
	}
	return map[string]any{"VpcConnectors": all}, nil
}

// AR-28
func listOperations(h *Host, q inquiry) (any, error) {
	var asked struct{ ServiceArn string }
	if err := q.read(&asked); err != nil {
		return nil, err
	}
	var all []map[string]any
	for _, o := range h.Account.Operations(asked.ServiceArn) {
		all = append(all, map[string]any{
			"Id": o.ID, "Type": o.Type, "Status": o.Status, "TargetArn": asked.ServiceArn,
			"StartedAt": seconds(o.Started), "EndedAt": seconds(o.Ended),
		})
	}
	return map[string]any{"OperationSummaryList": all}, nil
}

func seconds(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }

// filterLogEvents answers for App Runner's own groups. (LOG-3)
func filterLogEvents(h *Host, q inquiry) (any, error) {
	var asked struct {
		LogGroupName string
		StartTime    int64
	}
	if err := q.read(&asked); err != nil {
		return nil, err
	}
	var lines []account.Event
	found := false
	for _, r := range h.of("aws:apprunner/service:Service", q.region) {
		name := r.State["serviceName"].StringValue()
		prefix := "/aws/apprunner/" + name + "/" + r.State["serviceId"].StringValue()
		switch asked.LogGroupName {
		case prefix + "/service":
			lines, found = h.Account.Events(r.ID), true
		case prefix + "/application":
			printed, err := h.printed(name)
			if err != nil {
				return nil, err
			}
			lines, found = printed, true
		}
	}
	if !found {
		return nil, &account.APIError{Service: "CloudWatch Logs", Operation: "FilterLogEvents", Code: "ResourceNotFoundException", Message: "The specified log group does not exist."}
	}
	var events []map[string]any
	for _, l := range lines {
		if at := l.At.UnixMilli(); at >= asked.StartTime {
			events = append(events, map[string]any{"timestamp": at, "logStreamName": l.Stream, "message": l.Text})
		}
	}
	return map[string]any{"events": events}, nil
}

// printed is what a service's instances have printed, each line with the time that it says itself, or else with that of
// the last line.
func (h *Host) printed(service string) ([]account.Event, error) {
	logs, err := filepath.Glob(filepath.Join(h.dir, "logs", service+"-*.log"))
	if err != nil {
		return nil, err
	}
	var all []account.Event
	for _, log := range logs {
		number := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(log), service+"-"), ".log")
		if strings.Trim(number, "0123456789") != "" {
			continue // of a service whose name begins with this one's
		}
		info, err := os.Stat(log)
		if err != nil {
			return nil, fmt.Errorf("read what an instance printed: %w", err)
		}
		file, err := os.Open(log)
		if err != nil {
			return nil, fmt.Errorf("read what an instance printed: %w", err)
		}
		read := h.asInside(log)
		for lines := bufio.NewScanner(file); lines.Scan(); {
			var said struct{ Time time.Time }
			if json.Unmarshal(lines.Bytes(), &said) != nil || said.Time.IsZero() {
				said.Time = info.ModTime()
			}
			all = append(all, account.Event{At: said.Time, Stream: "instance/" + number, Text: read(lines.Text())})
		}
		if err := file.Close(); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(all, func(x, y account.Event) int { return x.At.Compare(y.At) })
	return all, nil
}

// inside is where an instance listens on this machine, and where it would in a container of its own.
type inside struct{ here, there string }

func (h *Host) noteAddress(i *instance, port string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.inside[i.log] = inside{i.addr, net.JoinHostPort("::", port)}
}

// asInside reads what an instance printed as if it ran in a container. (LOG-3)
func (h *Host) asInside(log string) func(line string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	address, known := h.inside[log]
	if !known {
		return func(line string) string { return line }
	}
	return func(line string) string { return strings.ReplaceAll(line, address.here, address.there) }
}
