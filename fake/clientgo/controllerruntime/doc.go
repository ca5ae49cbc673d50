// Package controllerruntime makes the fake client of controller-runtime behave
// for service accounts.
package controllerruntime
