// Package tokensecret holds the rules of token Secrets, those of type
// kubernetes.io/service-account-token: whose they are, how accounts list them,
// what their labels mean and how generated ones are called. All functions are
// pure and keep nothing of their arguments.
package tokensecret
