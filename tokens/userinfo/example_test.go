package userinfo_test

import (
	"fmt"

	"github.com/kubesa/serviceaccount/tokens/userinfo"
)

// Bind a role to an account by its username.
func ExampleUsername() {
	fmt.Println(userinfo.Username("ci", "builder"))

	// Output:
	// system:serviceaccount:ci:builder
}

// Bind a role to all accounts of a Namespace by its group.
func ExampleGroups() {
	for _, group := range userinfo.Groups("ci") {
		fmt.Println(group)
	}

	// Output:
	// system:serviceaccounts
	// system:serviceaccounts:ci
}

// Tell ServiceAccounts from other users.
func ExampleSplitUsername() {
	namespace, name, err := userinfo.SplitUsername("system:serviceaccount:ci:builder")
	fmt.Println(namespace, name, err)

	_, _, err = userinfo.SplitUsername("system:node:worker-1")
	fmt.Println(err)

	// Output:
	// ci builder <nil>
	// Username must be in the form system:serviceaccount:namespace:name
}
