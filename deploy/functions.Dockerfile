# All functions in one image. `PACKAGE=image make deploy` builds it from the output of `sam build`.
#
# The base is AWS's image for programs that implement the Runtime API
# (https://docs.aws.amazon.com/lambda/latest/dg/images-create.html). Its entry point runs /var/runtime/bootstrap, which could be only
# one function. So each function of deploy/image_template.py sets its program as the entry point.
FROM public.ecr.aws/lambda/provided:al2023
COPY ApiFunction/bootstrap /var/task/api
COPY SyncFunction/bootstrap /var/task/sync
COPY CallbackFunction/bootstrap /var/task/callback
COPY ReconcilerFunction/bootstrap /var/task/reconciler
# The catalog of jobs, which the functions read if it is too large for their environment.
COPY jobs.json /var/task/jobs.json
