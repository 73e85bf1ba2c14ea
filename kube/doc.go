// Package kube is the only room that calls the Kubernetes API server. It keeps checks, jobs, states and checker pods in
// shared informers, so that reading costs no request, and writes pods and states. It decides nothing: what a pod's
// status means and what a state shows is in package check.
package kube
