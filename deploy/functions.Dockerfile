# The functions, in one image: what `PACKAGE=image make deploy` builds out of the folder that `sam build` left.
#
# The base is AWS's image for programs that speak the Runtime API by themselves
# (https://docs.aws.amazon.com/lambda/latest/dg/images-create.html). Its own entry point runs /var/runtime/bootstrap, so one
# function alone; each function of deploy/image_template.py names its program as the entry point instead.
FROM public.ecr.aws/lambda/provided:al2023
COPY ApiFunction/bootstrap /var/task/api
COPY SyncFunction/bootstrap /var/task/sync
COPY CallbackFunction/bootstrap /var/task/callback
COPY ReconcilerFunction/bootstrap /var/task/reconciler
