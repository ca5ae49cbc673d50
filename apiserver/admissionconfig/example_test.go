package admissionconfig_test

import (
	"fmt"
	"strings"

	"github.com/kubesa/serviceaccount/apiserver/admissionconfig"
)

// Read the file of the admission plugin.
func ExampleParse() {
	cfg, err := admissionconfig.Parse(strings.NewReader(`
apiVersion: serviceaccount.kubesa.io/v1alpha1
kind: ServiceAccountConfiguration
strict: true
furtherVolumes:
- name: aws-iam-token
  when: {accountAnnotation: eks.amazonaws.com/role-arn}
  audience: sts.amazonaws.com
  lifetime: 24h
  mountPath: /var/run/secrets/eks.amazonaws.com/serviceaccount
  env:
  - {name: AWS_WEB_IDENTITY_TOKEN_FILE, tokenFile: true}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	volume := cfg.FurtherVolumes[0]
	fmt.Println(cfg.Strict, volume.Name, volume.Audience, volume.Lifetime, volume.Env[0].Name)

	// Output:
	// true aws-iam-token sts.amazonaws.com 24h0m0s AWS_WEB_IDENTITY_TOKEN_FILE
}

// What a file doesn't spell right isn't ignored.
func ExampleParse_mistakes() {
	const head = "apiVersion: serviceaccount.kubesa.io/v1alpha1\nkind: ServiceAccountConfiguration\n"
	for _, line := range []string{"stict: true", "tokenVolume: Projcted"} {
		_, err := admissionconfig.Parse(strings.NewReader(head + line))
		fmt.Println(err)
	}

	// Output:
	// admissionconfig: the configuration of ServiceAccount: strict decoding error: unknown field "stict"
	// admissionconfig: ServiceAccountConfiguration.tokenVolume is "Projcted", want Projected or SecretBacked
}
