package replacing

import (
	"time"

	"github.com/kubesa/serviceaccount/admission/furthervolume"
)

// AWSPodIdentity is the volume of amazon-eks-pod-identity-webhook
// (pkg/handler/handler.go) for accounts with a role.
func AWSPodIdentity(region string) furthervolume.Volume {
	return furthervolume.Volume{
		Name:     "aws-iam-token",
		When:     furthervolume.Condition{AccountAnnotation: "eks.amazonaws.com/role-arn"},
		Audience: "sts.amazonaws.com", AccountAudience: "eks.amazonaws.com/audience",
		Lifetime: 24 * time.Hour, MinLifetime: time.Hour, ClampLifetime: true, IgnoreInvalidLifetime: true,
		PodLifetime: "eks.amazonaws.com/token-expiration", AccountLifetime: "eks.amazonaws.com/token-expiration",
		MountPath: "/var/run/secrets/eks.amazonaws.com/serviceaccount",
		Env: []furthervolume.EnvVar{
			{Name: "AWS_ROLE_ARN", AccountAnnotation: "eks.amazonaws.com/role-arn", Group: "role"},
			{Name: "AWS_WEB_IDENTITY_TOKEN_FILE", TokenFile: true, Group: "role"},
			{Name: "AWS_DEFAULT_REGION", Value: region, Group: "region"},
			{Name: "AWS_REGION", Value: region, Group: "region"},
		},
		SkipContainers: "eks.amazonaws.com/skip-containers",
	}
}

// AzureWorkloadIdentity is the volume of azure-workload-identity
// (pkg/webhook/webhook.go) for pods that ask for it.
func AzureWorkloadIdentity(tenantID string) furthervolume.Volume {
	return furthervolume.Volume{
		Name:     "azure-workload-identity-reserved",
		When:     furthervolume.Condition{PodLabel: "azure.workload.identity/use=true"},
		Audience: "api://AzureADTokenExchange",
		Lifetime: time.Hour, MinLifetime: time.Hour, MaxLifetime: 24 * time.Hour,
		PodLifetime:     "azure.workload.identity/service-account-token-expiration",
		AccountLifetime: "azure.workload.identity/service-account-token-expiration",
		MountPath:       "/var/run/secrets/azure/wi", File: "token/azure-identity-token",
		Env: []furthervolume.EnvVar{
			{Name: "AZURE_CLIENT_ID", AccountAnnotation: "azure.workload.identity/client-id"},
			{Name: "AZURE_TENANT_ID", AccountAnnotation: "azure.workload.identity/tenant-id", Value: tenantID},
			{Name: "AZURE_FEDERATED_TOKEN_FILE", TokenFile: true},
			{Name: "AZURE_AUTHORITY_HOST", Value: "https://login.microsoftonline.com/"},
		},
		SkipContainers: "azure.workload.identity/skip-containers", SkipSeparator: ";",
	}
}
