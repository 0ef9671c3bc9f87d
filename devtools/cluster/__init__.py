"""The production topology on one machine, from Debian's packages: `make cluster`.

nginx → two web nodes and a worker → PgBouncer → HAProxy → PostgreSQL with a standby that takes over
(Patroni, etcd), Redis, and the local Stripe. Everything listens on loopback, has its data in one
directory and runs until `make cluster-down`, which removes that directory.
"""
