// Package output names what a stack gives to its readers.
package output

const (
	// URL is where the service answers, with scheme and without a trailing slash.
	URL = "url"
	// Image is the deployed image as repository@digest.
	Image = "image"
	// Version is the content hash that the service answers on /version.
	Version = "version"
	// ServiceARN is the App Runner service.
	ServiceARN = "serviceArn"
	// ServiceLogGroup is where CloudWatch has what the service logs.
	ServiceLogGroup = "serviceLogGroup"
	// DashboardURL is where CloudWatch shows how the stack does, to who may see it.
	DashboardURL = "dashboardUrl"
	// DatabaseEndpoint is the host name of the database's writer.
	DatabaseEndpoint = "databaseEndpoint"
	// DatabaseSecretARN is the secret with the database's user name and password.
	DatabaseSecretARN = "databaseSecretArn"
	// RepositoryURL is the image repository, without tag or digest.
	RepositoryURL = "repositoryUrl"
	// VPCID is the network of the database and of the service's outgoing traffic.
	VPCID = "vpcId"
)

// DNSRecords are what a custom domain's zone must hold, a line each: name, type and value. Only stacks with a custom
// domain have it.
const DNSRecords = "dnsRecords"

// Names lists every output that all stacks have.
func Names() []string {
	return []string{
		URL, Image, Version, ServiceARN, ServiceLogGroup, DashboardURL, DatabaseEndpoint, DatabaseSecretARN, RepositoryURL, VPCID,
	}
}

// Tags are on everything that a stack makes in AWS, as far as it takes tags, and on nothing that another stack makes.
func Tags(project, stack string) map[string]string {
	return map[string]string{"project": project, "stack": stack, "managed-by": "pulumi"}
}
