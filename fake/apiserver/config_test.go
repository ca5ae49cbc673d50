package apiserver_test

import (
	"errors"
	"testing"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/apiserver"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// Mistakes are errors of New, not panics of the first request.
func TestNewRefuses(t *testing.T) {
	authority, err := fake.NewAuthority(fake.AuthorityConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var typedNil *sacontroller.Tokens
	for _, tt := range []struct {
		field     string
		authority *fake.Authority
		cfg       apiserver.Config
	}{
		{field: "authority"},
		{field: "authority", authority: &fake.Authority{}},
		{field: "Controllers[0]", authority: authority, cfg: apiserver.Config{Controllers: []sacontroller.Controller{nil}}},
		{field: "Controllers[1]", authority: authority, cfg: apiserver.Config{Controllers: []sacontroller.Controller{authority.Accounts, typedNil}}},
	} {
		handler, err := apiserver.New(tt.authority, tt.cfg)
		if e, ok := errors.AsType[*apiserver.ConfigError](err); !ok || e.Field != tt.field || handler != nil {
			t.Errorf("New() = %v, %v, want a ConfigError of %s", handler, err, tt.field)
		}
	}
}
