"""`make status`: the platform on one screen, as ansible/status.yml saw the hosts and the server tells."""
