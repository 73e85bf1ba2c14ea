// Package kube is the only room that calls the Kubernetes API server. It caches checks, jobs, states and checker pods in
// shared informers, so that reading costs no request. It writes pods and states. It decides nothing: package check decides
// what a pod's status means and what a state shows.
package kube
