package cloud

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	signer "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
)

// Usage is how much of a quota is used.
type Usage struct {
	Of          string
	Used, Limit int
	// Default says that the limit is AWS's default, which may have been raised for this account.
	Default bool
}

// Room is what is left; never less than none.
func (u Usage) Room() int { return max(0, u.Limit-u.Used) }

// AWS's defaults. https://docs.aws.amazon.com/apprunner/latest/dg/architecture.html
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
const (
	servicesQuota   = 30
	connectorsQuota = 10
	vpcsQuota       = 5
	addressesQuota  = 5
)

// The quotas that Service Quotas has a code for. App Runner's are not among those that are documented.
const (
	vpcsCode      = "L-F678F1CE"
	addressesCode = "L-0263D0A3"
)

// Usages are the quotas that a stack takes from.
type Usages struct {
	Services, Connectors, VPCs, Addresses Usage
}

// Usages counts what there is.
func (a *Account) Usages(ctx context.Context) (u Usages, err error) {
	services, err := a.Services(ctx)
	if err != nil {
		return u, err
	}
	u.Services = Usage{"App Runner services", len(services), servicesQuota, true}
	u.Connectors = Usage{"App Runner VPC connectors", 0, connectorsQuota, true}
	for pages := apprunner.NewListVpcConnectorsPaginator(a.runner, &apprunner.ListVpcConnectorsInput{}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return u, fmt.Errorf("list the VPC connectors of App Runner: %w", err)
		}
		u.Connectors.Used += len(page.VpcConnectors)
	}
	if u.VPCs, err = a.network(ctx, "VPCs", "DescribeVpcs", "vpc", vpcsCode, vpcsQuota); err != nil {
		return u, err
	}
	u.Addresses, err = a.network(ctx, "elastic IP addresses", "DescribeAddresses", "ec2", addressesCode, addressesQuota)
	return u, err
}

// network counts what an EC2 operation describes, against its quota.
func (a *Account) network(ctx context.Context, of, operation, service, code string, standard int) (Usage, error) {
	used, err := a.count(ctx, operation)
	if err != nil {
		return Usage{}, err
	}
	usage := Usage{of, used, standard, true}
	// Who may not ask Service Quotas can still deploy.
	answer, err := a.quotas.GetServiceQuota(ctx, &servicequotas.GetServiceQuotaInput{ServiceCode: &service, QuotaCode: &code})
	if err == nil && answer.Quota != nil {
		usage.Limit, usage.Default = int(aws.ToFloat64(answer.Quota.Value)), false
	}
	return usage, nil
}

// count counts what EC2 describes. The SDK's own client for EC2 takes minutes and gigabytes to compile, for two numbers.
func (a *Account) count(ctx context.Context, operation string) (int, error) {
	credentials, err := a.aws.Credentials.Retrieve(ctx)
	if err != nil {
		return 0, fmt.Errorf("find credentials: %w", err)
	}
	form := url.Values{"Action": {operation}, "Version": {"2016-11-15"}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.ec2(), strings.NewReader(form))
	if err != nil {
		return 0, fmt.Errorf("ask EC2: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	sum := sha256.Sum256([]byte(form))
	err = signer.NewSigner().SignHTTP(ctx, credentials, request, hex.EncodeToString(sum[:]), "ec2", a.aws.Region, time.Now())
	if err != nil {
		return 0, fmt.Errorf("sign for EC2: %w", err)
	}
	client := a.aws.HTTPClient
	if client == nil {
		client = http.DefaultClient
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", operation, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", operation, err)
	}
	var answer struct {
		VPCs      []struct{} `xml:"vpcSet>item"`
		Addresses []struct{} `xml:"addressesSet>item"`
		Code      string     `xml:"Errors>Error>Code"`
		Message   string     `xml:"Errors>Error>Message"`
	}
	err = xml.Unmarshal(body, &answer)
	if response.StatusCode != http.StatusOK {
		return 0, errors.Join(fmt.Errorf("%s: %s %s: %s", operation, response.Status, answer.Code, answer.Message), err)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", operation, err)
	}
	return len(answer.VPCs) + len(answer.Addresses), nil
}

// ec2 is where EC2 answers, which may be told as for every other service.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
func (a *Account) ec2() string {
	for _, variable := range []string{"AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL"} {
		if told := os.Getenv(variable); told != "" {
			return told + "/"
		}
	}
	return "https://ec2." + a.aws.Region + ".amazonaws.com/"
}
