package saenvtest_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/kubesa/serviceaccount/controllerruntime/saenvtest"
)

// The suite of a kubebuilder project, which has BeforeSuite and AfterSuite of ginkgo
// instead of a TestMain: only the type of testEnv is another one.
var (
	testEnv   *saenvtest.Environment
	cfg       *rest.Config
	k8sClient client.Client
)

func TestMain(m *testing.M) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" { // without etcd and kube-apiserver, tests of k8sClient are skipped
		os.Exit(m.Run())
	}
	os.Exit(runSuite(m))
}

func runSuite(m *testing.M) (code int) {
	testEnv = &saenvtest.Environment{Environment: envtest.Environment{}} // CRDDirectoryPaths: …
	var err error
	if cfg, err = testEnv.Start(); err != nil {
		fmt.Println(err)
		return 1
	}
	defer func() {
		if err := testEnv.Stop(); err != nil {
			fmt.Println(err)
			code = 1
		}
	}()
	if k8sClient, err = client.New(cfg, client.Options{}); err != nil {
		fmt.Println(err)
		return 1
	}
	return m.Run()
}

// A program that is tested with a real cluster's behaviour, and whose rights are those
// of its account.
func ExampleEnvironment() {
	testEnv := &saenvtest.Environment{Environment: envtest.Environment{
		CRDDirectoryPaths: []string{"../../config/crd/bases"},
	}}
	run := func(ctx context.Context, test func(*rest.Config)) error {
		if _, err := testEnv.Start(); err != nil {
			return err
		}
		defer testEnv.Stop() //nolint:errcheck // of an example
		config, err := testEnv.TokenConfig(ctx, "default", "default")
		if err != nil {
			return err
		}
		test(config)
		return nil
	}
	_ = run

	// Before that there is nobody to act as.
	_, err := testEnv.TokenConfig(context.Background(), "default", "default")
	fmt.Println(err)

	// Output:
	// saenvtest: the Environment isn't running, want Start called before
}
