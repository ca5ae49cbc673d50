// Package mutate finds decisions that no test notices. It changes one decision
// of a package at a time (a mutant) and runs the tests that reach it: a mutant
// that passes them all survives, and shows a missing test.
//
// All mutants of a package are compiled at once. Each is behind a switch, such as
//
//	if mutantOn(7) && (a <= b) || !mutantOn(7) && (a < b) {
//
// and an environment variable says which one is on. What can't be written that
// way, such as another value of a constant, is compiled on its own. The files of
// the repository stay as they are: the go command gets the changed ones with
// -overlay.
//
// # Rules
//
//   - a condition of if, for and switch is replaced by true and by false, and so is
//     each operand of && and ||; && and || change places
//   - < and <=, > and >= change places, == and != too; so do + and -
//   - an integer is one more, one less; a constant's value too, a constant duration
//     is doubled
//   - an error that is returned is dropped; a bool is negated
//   - a statement is removed: a call, an assignment, a return, a defer, a loop; a
//     field of a struct literal is removed
//   - a function returns zero values at once
//
// # Excuses
//
// Some mutants behave as the original does, or differ only in speed. Excuses in a
// text file name them, with the reason, and they count as killed. An excuse for a
// mutant that is killed or doesn't exist is reported.
package mutate
