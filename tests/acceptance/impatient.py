"""Our own app on a broker that is impatient: an unacknowledged message comes again after 2 s."""

import os

from celery_sagemaker.workers import create_app
from celery_sagemaker.workers.visibility import VisibilityHeartbeat

app = create_app()
app.conf.broker_transport_options = {**app.conf.broker_transport_options, "visibility_timeout": 2}

if "WITHOUT_HEARTBEAT" in os.environ:
    app.steps["consumer"].discard(VisibilityHeartbeat)
