//! Actions for which IAM has no resources, so that `*` is the only one that a policy can name.

/// Such actions that jobs use, by service. Their pages in the Service Authorization Reference
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>) name no
/// resource type. Actions that change something are among them only if it is what a job is for: to write a metric, or to analyse a text.
const ACTIONS: [(&str, &[&str]); 28] = [
    ("athena", &["ListDataCatalogs", "ListWorkGroups"]),
    ("autoscaling", &["DescribeAutoScalingGroups", "DescribeAutoScalingInstances"]),
    ("batch", &["DescribeJobQueues", "DescribeJobs", "ListJobs"]),
    ("bedrock", &["ListFoundationModels", "ListInferenceProfiles"]),
    ("cloudformation", &["ListExports", "ListStacks", "ValidateTemplate"]),
    ("cloudfront", &["ListDistributions"]),
    ("cloudwatch", &["GetMetricData", "GetMetricStatistics", "GetMetricWidgetImage", "ListMetrics", "PutMetricData"]),
    (
        "comprehend",
        &["ContainsPiiEntities", "DetectDominantLanguage", "DetectKeyPhrases", "DetectPiiEntities", "DetectSentiment"],
    ),
    ("dynamodb", &["DescribeLimits", "ListStreams", "ListTables"]),
    (
        "ec2",
        &[
            "DescribeAvailabilityZones",
            "DescribeImages",
            "DescribeInstanceStatus",
            "DescribeInstanceTypes",
            "DescribeInstances",
            "DescribeNetworkInterfaces",
            "DescribeRegions",
            "DescribeRouteTables",
            "DescribeSecurityGroups",
            "DescribeSnapshots",
            "DescribeSpotPriceHistory",
            "DescribeSubnets",
            "DescribeTags",
            "DescribeVolumes",
            "DescribeVpcs",
        ],
    ),
    ("ecr", &["DescribeRegistry", "GetAuthorizationToken"]),
    ("ecs", &["DescribeTaskDefinition", "ListClusters", "ListTaskDefinitions"]),
    (
        "elasticloadbalancing",
        &["DescribeListeners", "DescribeLoadBalancers", "DescribeTargetGroups", "DescribeTargetHealth"],
    ),
    ("events", &["ListEventBuses", "ListRules", "TestEventPattern"]),
    ("glue", &["GetCrawlers", "GetJobs", "ListJobs"]),
    ("kinesis", &["DescribeLimits", "ListStreams"]),
    ("kms", &["ListAliases", "ListKeys"]),
    ("lambda", &["GetAccountSettings", "ListFunctions"]),
    ("logs", &["DescribeLogGroups", "DescribeQueries"]),
    ("organizations", &["DescribeOrganization", "ListAccounts"]),
    ("pricing", &["DescribeServices", "GetAttributeValues", "GetProducts"]),
    ("rekognition", &["CompareFaces", "DetectFaces", "DetectLabels", "DetectText", "RecognizeCelebrities"]),
    ("route53", &["ListHostedZones", "ListHostedZonesByName", "TestDNSAnswer"]),
    ("s3", &["ListAllMyBuckets"]),
    ("sqs", &["ListQueues"]),
    ("tag", &["GetResources", "GetTagKeys", "GetTagValues"]),
    ("textract", &["AnalyzeDocument", "AnalyzeExpense", "AnalyzeID", "DetectDocumentText"]),
    ("xray", &["GetSamplingRules", "GetSamplingTargets", "PutTelemetryRecords", "PutTraceSegments"]),
];

/// Whether IAM has no resources for this action, such as `cloudwatch:PutMetricData`.
pub(super) fn has_no_resources(action: &str) -> bool {
    let (service, name) = action.split_once(':').unwrap_or_default();
    ACTIONS.iter().any(|(known, names)| *known == service && names.contains(&name))
}
