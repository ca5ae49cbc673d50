package serviceaccount_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const modulePath = "github.com/kubesa/serviceaccount"

// importRules says what the packages of the root module may import besides the
// standard library, tests excluded. A package without a row fails the test:
// weight is part of the interface, so a new dependency is a decision.
var importRules = map[string]struct{ ours, others []string }{
	".":                        {ours: []string{"internal/tokensecret"}, others: kubernetes},
	"tenant":                   {},
	"internal/age":             {},
	"internal/configerror":     {},
	"internal/contract":        {},
	"internal/fairqueue":       {ours: []string{"sacontroller"}},
	"internal/flight":          {ours: []string{"tenant"}},
	"internal/logvalue":        {},
	"internal/names":           {},
	"internal/strictjson":      {},
	"internal/jose":            {ours: []string{"internal/flight", "internal/strictjson"}, others: []string{"gopkg.in/square/go-jose.v2"}},
	"internal/tokensecret":     {others: kubernetes},
	"internal/podsecrets":      {others: kubernetes},
	"internal/trim":            {others: kubernetes},
	"internal/webhook":         {ours: []string{"internal/flight"}},
	"keys":                     {ours: []string{"internal/configerror", "internal/flight", "internal/jose", "internal/logvalue", "internal/age", "keys/internal/files", "keys/internal/wrap"}},
	"keys/keyring":             {ours: []string{"internal/configerror", "internal/contract", "internal/flight", "internal/strictjson", "keys", "internal/age", "keys/internal/files", "keys/internal/wrap"}},
	"keys/keyring/secretstore": {ours: []string{"internal/configerror", "internal/flight", "internal/names", "keys/keyring"}, others: kubernetes},
	"keys/keyring/storetest":   {ours: []string{"keys", "keys/keyring"}},
	"keys/discovery":           {ours: []string{"internal/configerror", "internal/flight", "internal/strictjson", "keys", "internal/age", "keys/internal/files", "keys/internal/wrap"}},
	"keys/external":            {ours: []string{"internal/configerror", "internal/flight", "internal/jose", "internal/logvalue", "internal/strictjson", "keys", "internal/age", "keys/internal/wrap"}},
	"keys/internal/files":      {},
	"keys/internal/wrap":       {},

	// For tests of the packages above, and of all constructors.
	"internal/configerror/configtest": {ours: []string{"internal/configerror"}},
	"keys/internal/keystest":          {ours: []string{"keys"}},

	"tokens":                        {ours: []string{"internal/configerror", "internal/contract", "internal/flight", "internal/jose", "internal/logvalue", "internal/names", "internal/strictjson", "internal/tokensecret", "keys", "tenant", "tokens/internal/objects", "tokens/internal/payload", "tokens/internal/signature", "tokens/userinfo"}, others: kubernetes},
	"tokens/tokenissuer":            {ours: []string{"internal/configerror", "internal/flight", "internal/jose", "internal/names", "keys", "tenant", "tokens", "tokens/internal/objects", "tokens/internal/payload", "tokens/userinfo"}, others: kubernetes},
	"tokens/inspect":                {ours: []string{"internal/jose", "internal/strictjson", "tokens", "tokens/internal/payload"}, others: kubernetes},
	"tokens/userinfo":               {ours: []string{"tokens/internal/objects"}},
	"tokens/tokenrequest":           {ours: []string{"internal/configerror", "internal/contract", "internal/flight", "internal/logvalue", "internal/names", "tokens", "tokens/internal/objects", "tokens/tokenissuer"}, others: kubernetes},
	"tokens/tokenreview":            {ours: []string{"internal/configerror", "internal/flight", "internal/logvalue", "internal/strictjson", "internal/webhook", "tokens", "tokens/inspect", "tokens/userinfo"}, others: kubernetes},
	"tokens/tokensource":            {ours: []string{"internal/age", "internal/configerror", "internal/contract", "internal/flight", "internal/logvalue", "internal/names", "internal/tokensecret", "tokens", "tokens/inspect", "tokens/internal/objects"}, others: kubernetes},
	"tokens/bearer":                 {ours: []string{"internal/configerror", "internal/flight", "internal/logvalue", "tokens"}},
	"tokens/cached":                 {ours: []string{"internal/configerror", "internal/flight", "internal/logvalue", "tenant", "tokens", "tokens/inspect", "tokens/internal/bounded"}},
	"tokens/keeper":                 {ours: []string{"internal/age", "internal/configerror", "internal/contract", "internal/flight", "internal/logvalue", "internal/names", "sacontroller", "tokens", "tokens/inspect", "tokens/internal/objects"}, others: kubernetes},
	"tokens/lastused":               {ours: []string{"internal/age", "internal/configerror", "internal/flight", "internal/logvalue", "internal/names", "internal/tokensecret", "tenant", "tokens", "tokens/internal/bounded"}, others: kubernetes},
	"tokens/objectcache":            {ours: []string{"internal/configerror", "internal/contract", "internal/flight", "internal/logvalue", "tenant", "tokens", "tokens/internal/bounded", "tokens/internal/objects"}, others: kubernetes},
	"tokens/internal/bounded":       {},
	"tokens/internal/objects":       {ours: []string{"internal/contract", "internal/names"}, others: kubernetes},
	"tokens/internal/payload":       {ours: []string{"internal/names", "internal/strictjson", "tokens/internal/objects"}, others: kubernetes},
	"tokens/internal/signature":     {ours: []string{"internal/jose", "internal/strictjson", "keys", "tokens/internal/bounded", "tokens/internal/payload"}},
	"admission":                     {ours: []string{"admission/furthervolume", "admission/internal/budget", "admission/internal/podrules", "admission/internal/references", "internal/configerror", "internal/contract", "internal/names", "internal/strictjson", "internal/tokensecret"}, others: kubernetes},
	"admission/furthervolume":       {ours: []string{"admission/internal/budget", "admission/internal/podrules", "internal/configerror", "internal/names"}, others: kubernetes},
	"admission/internal/budget":     {others: kubernetes},
	"admission/internal/podrules":   {ours: []string{"admission/internal/budget"}, others: kubernetes},
	"admission/internal/references": {ours: []string{"admission/internal/budget", "internal/names", "internal/podsecrets"}, others: kubernetes},
	"admission/webhook":             {ours: []string{"admission", "internal/configerror", "internal/flight", "internal/logvalue", "internal/names", "internal/strictjson", "internal/webhook"}, others: kubernetes},

	// For tests of the two above.
	"admission/internal/admissiontest":     {ours: []string{"admission"}, others: kubernetes},
	"internal/podsecrets/podsecretstest":   {others: kubernetes},
	"internal/tokensecret/tokensecrettest": {others: kubernetes},

	"sacontroller":                   {ours: []string{"internal/configerror", "internal/contract", "internal/names", "internal/tokensecret", "sacontroller/internal/apicall", "sacontroller/internal/cabundle", "sacontroller/internal/memory", "tenant"}, others: kubernetes},
	"sacontroller/legacytoken":       {ours: []string{"internal/age", "internal/configerror", "internal/contract", "internal/logvalue", "internal/names", "internal/podsecrets", "internal/tokensecret", "sacontroller", "sacontroller/internal/apicall", "sacontroller/internal/memory", "tenant"}, others: kubernetes},
	"sacontroller/rootca":            {ours: []string{"internal/configerror", "internal/contract", "internal/logvalue", "internal/names", "sacontroller", "sacontroller/internal/apicall", "sacontroller/internal/cabundle", "sacontroller/internal/memory", "tenant"}, others: kubernetes},
	"sacontroller/internal/apicall":  {ours: []string{"internal/contract", "internal/names"}, others: kubernetes},
	"sacontroller/internal/cabundle": {},
	"sacontroller/internal/memory":   {others: kubernetes},
	"fake":                           {ours: []string{"fake/fault", "internal/configerror", "keys", "keys/discovery", "keys/keyring", "tokens", "tokens/tokenrequest", "tokens/tokenreview", "sacontroller", "fake/internal/apirules", "fake/internal/object", "fake/internal/server", "fake/internal/settle", "fake/internal/warning", "tokens/tokenissuer"}, others: kubernetes},
	"fake/fault":                     {ours: []string{"fake/internal/object"}, others: kubernetes},
	"fake/internal/admit":            {ours: []string{"fake/internal/object"}, others: kubernetes},
	"fake/internal/apirules":         {ours: []string{"fake/internal/object", "fake/internal/patch", "fake/internal/warning"}, others: kubernetes},
	"fake/internal/object":           {others: kubernetes},
	"fake/internal/patch":            {ours: []string{"fake/internal/object"}, others: append([]string{"gopkg.in/evanphx/json-patch.v4"}, kubernetes...)},
	"fake/internal/warning":          {},
	"fake/internal/review":           {ours: []string{"fake", "tokens"}, others: kubernetes},
	"fake/internal/server":           {ours: []string{"fake/fault", "fake/internal/admit", "fake/internal/apirules", "fake/internal/object", "fake/internal/patch", "fake/internal/store", "fake/internal/uid", "fake/internal/warning", "internal/tokensecret"}, others: kubernetes},
	"fake/internal/settle":           {ours: []string{"fake/internal/object", "fake/internal/store", "sacontroller", "tenant"}, others: kubernetes},
	"fake/internal/store":            {ours: []string{"fake/internal/object", "internal/tokensecret"}, others: kubernetes},
	"fake/internal/uid":              {others: kubernetes},

	// For tests of sacontroller and the packages below it.
	"sacontroller/internal/satest": {ours: []string{"fake", "fake/fault", "sacontroller"}, others: append([]string{"github.com/google/go-cmp"}, kubernetes...)},

	// For tests of tokens and the packages below it.
	"tokens/internal/tokentest": {ours: []string{"internal/jose", "keys", "tokens", "tokens/tokenissuer"}, others: kubernetes},

	// Without fake: it checks any implementation.
	"fake/clustertest": {ours: []string{"sacontroller", "sacontroller/legacytoken", "sacontroller/rootca", "tokens"}, others: kubernetes},

	"examples/quickstart": {
		ours:   []string{"admission", "fake", "keys", "sacontroller", "tokens", "tokens/tokenissuer", "tokens/tokenrequest"},
		others: append([]string{"sigs.k8s.io/yaml"}, kubernetes...),
	},
	"examples/replacing": {
		ours:   []string{"admission/furthervolume", "keys", "sacontroller", "sacontroller/rootca", "tenant", "tokens", "tokens/bearer", "tokens/cached", "tokens/inspect", "tokens/keeper", "tokens/objectcache", "tokens/tokenreview", "tokens/tokensource", "tokens/userinfo", "tokens/tokenissuer"},
		others: kubernetes,
	},
	"examples/rotation": {ours: []string{"fake", "keys", "keys/discovery", "keys/keyring", "tokens", "tokens/tokenissuer"}, others: kubernetes},
	"examples/webhook":  {ours: []string{"admission", "admission/webhook"}, others: kubernetes},

	"examples/testing/controller":   {ours: []string{"sacontroller"}, others: kubernetes},
	"examples/testing/jobs":         {others: kubernetes},
	"examples/testing/podwebhook":   {ours: []string{"admission", "admission/webhook"}, others: kubernetes},
	"examples/testing/tokenservice": {ours: []string{"tokens"}, others: kubernetes},
}

var kubernetes = []string{"k8s.io/api", "k8s.io/apimachinery"}

// directDependencies are the modules that the root module may require directly.
var directDependencies = []string{
	"github.com/google/go-cmp",       // tests only
	"gopkg.in/evanphx/json-patch.v4", // fake only
	"gopkg.in/square/go-jose.v2",
	"k8s.io/api",
	"k8s.io/apimachinery",
	"sigs.k8s.io/yaml", // examples only
}

// The goals for what importing all production packages links, and what keys
// alone does. The fakes are for tests and may weigh what they need.
const (
	maxModules      = 20
	maxPackages     = 90
	maxKeysPackages = 10
)

func TestImports(t *testing.T) {
	for _, pkg := range goList(t, "./...") {
		name := relative(pkg.ImportPath)
		rule, ok := importRules[name]
		if !ok {
			t.Errorf("package %s has no row in importRules: say what it may import", name)
			continue
		}
		for _, path := range pkg.Imports {
			switch {
			case isStandard(path):
				if path == "testing" && !strings.HasSuffix(name, "test") {
					t.Errorf("%s imports testing, which only packages for tests may", name)
				}
			case path == modulePath || strings.HasPrefix(path, modulePath+"/"):
				if !slices.Contains(rule.ours, relative(path)) {
					t.Errorf("%s imports %s, want only %q of this module", name, relative(path), rule.ours)
				}
			default:
				if !slices.ContainsFunc(rule.others, func(m string) bool { return path == m || strings.HasPrefix(path, m+"/") }) {
					t.Errorf("%s imports %s, want only %q and the standard library", name, path, rule.others)
				}
			}
		}
	}
}

func TestImportWeight(t *testing.T) {
	var production []string
	for _, pkg := range goList(t, "./...") {
		if strings.HasSuffix(pkg.ImportPath, "test") {
			continue
		}
		switch first, _, _ := strings.Cut(relative(pkg.ImportPath), "/"); first {
		case ".", "admission", "keys", "tokens", "sacontroller":
			production = append(production, pkg.ImportPath)
		}
	}
	for _, tt := range []struct {
		name                    string
		packages                []string
		maxModules, maxPackages int
	}{
		{"all production packages", production, maxModules, maxPackages},
		{"keys", []string{modulePath + "/keys"}, maxKeysPackages, maxKeysPackages},
	} {
		modules, packages := weigh(t, tt.packages)
		t.Logf("importing %s links %d modules and %d packages outside the standard library", tt.name, modules, packages)
		if modules > tt.maxModules || packages > tt.maxPackages {
			t.Errorf("importing %s links %d modules and %d packages, want at most %d and %d", tt.name, modules, packages, tt.maxModules, tt.maxPackages)
		}
	}
}

// weigh returns how many modules and packages of others importing packages links.
func weigh(t *testing.T, packages []string) (modules, linked int) {
	t.Helper()
	seen := map[string]bool{}
	for _, pkg := range goList(t, append([]string{"-deps"}, packages...)...) {
		if pkg.Standard || pkg.Module == nil || pkg.Module.Main {
			continue
		}
		seen[pkg.Module.Path] = true
		linked++
	}
	return len(seen), linked
}

func TestDirectDependencies(t *testing.T) {
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(goCommand(t, "mod", "edit", "-json"), &mod); err != nil {
		t.Fatal(err)
	}
	for _, r := range mod.Require {
		if !r.Indirect && !slices.Contains(directDependencies, r.Path) {
			t.Errorf("go.mod requires %s directly, want only %q", r.Path, directDependencies)
		}
	}
}

type listedPackage struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Module     *struct {
		Path string
		Main bool
	}
}

func goList(t *testing.T, args ...string) []listedPackage {
	t.Helper()
	out := goCommand(t, append([]string{"list", "-json=ImportPath,Standard,Imports,Module"}, args...)...)
	var packages []listedPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg listedPackage
		switch err := dec.Decode(&pkg); {
		case errors.Is(err, io.EOF):
			return packages
		case err != nil:
			t.Fatalf("reading the output of go list: %v", err)
		}
		packages = append(packages, pkg)
	}
}

func goCommand(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, exit.Stderr)
		}
		t.Fatalf("go %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func relative(importPath string) string {
	if importPath == modulePath {
		return "."
	}
	return strings.TrimPrefix(importPath, modulePath+"/")
}

func isStandard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}
