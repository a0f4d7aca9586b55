// Package verify tests the repository itself: the direction of imports, the bounds of
// generated CRDs, and that metrics, alerts, causes and their documentation match.
package verify
