package configerror_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kubesa/serviceaccount/internal/configerror"
)

func TestList(t *testing.T) {
	list := configerror.List{Config: "tokens.IssuerConfig"}
	if err := list.Err(); err != nil {
		t.Fatalf("Err() of an empty list = %v, want nil", err)
	}
	var typedNil *time.Location
	var noFunc func()
	list.Require("Signer", nil, "a keys.Signer")
	list.Require("Keys", typedNil, "a keys.Source")
	list.Require("NewID", noFunc, "a func")
	list.Require("Now", time.Now, "a func")
	list.Require("Text", "", "a text") // not nil
	list.Optional("Observe", nil)
	list.Optional("Now", time.Now)
	list.Optional("Location", typedNil)
	configerror.NotNegative(&list, "MaxLifetime", -time.Second)
	configerror.NotNegative(&list, "CacheSize", 0)
	list.Add("Issuers[2]", "is %q, want another", "x")

	const want = `tokens: IssuerConfig.Signer is required, want a keys.Signer
tokens: IssuerConfig.Keys is required, want a keys.Source
tokens: IssuerConfig.NewID is required, want a func
tokens: IssuerConfig.Location is a nil *time.Location, want none or one that works
tokens: IssuerConfig.MaxLifetime is -1s, want 0 for the default or a positive value
tokens: IssuerConfig.Issuers[2] is "x", want another`
	err := list.Err()
	if err == nil || err.Error() != want {
		t.Fatalf("Err() =\n%v\nwant\n%s", err, want)
	}
	e, ok := errors.AsType[*configerror.Error](err)
	if !ok || *e != (configerror.Error{Config: "tokens.IssuerConfig", Field: "Signer", Problem: "is required, want a keys.Signer"}) {
		t.Errorf("errors.AsType() = %+v, want the first mistake", e)
	}
}

// Mistakes in a part of a config are those of the config, in the field that has the part.
func TestListWithin(t *testing.T) {
	part := configerror.List{Config: "sacontroller.TokensConfig"}
	part.Add("Reader", "is required")
	part.Add("RootCA", "holds 100%% of nothing")
	for _, tt := range []struct {
		field string
		err   error
		want  string
	}{
		{field: "Tokens", want: "<nil>"},
		{"Tokens", part.Err(), "manager: Config.Tokens.Reader is required\nmanager: Config.Tokens.RootCA holds 100% of nothing"},
		{"", part.Err(), "manager: Config.Reader is required\nmanager: Config.RootCA holds 100% of nothing"},
		{"Tokens", errors.New("100% broken"), "manager: Config.Tokens 100% broken"},
		{"Tokens", errors.Join(errors.New("is bad"), errors.Join(part.Err())),
			"manager: Config.Tokens is bad\nmanager: Config.Tokens.Reader is required\nmanager: Config.Tokens.RootCA holds 100% of nothing"},
	} {
		list := configerror.List{Config: "manager.Config"}
		list.Within(tt.field, tt.err)
		if got := fmt.Sprint(list.Err()); got != tt.want {
			t.Errorf("Within(%q, %v) =\n%s\nwant\n%s", tt.field, tt.err, got, tt.want)
		}
	}
}
