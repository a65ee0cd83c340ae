import java.util.Map;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.ExecutionsApi;
import org.openapitools.client.model.Execution;
import org.openapitools.client.model.NewExecution;
import org.openapitools.client.model.Pattern;
import org.openapitools.client.model.Problem;
import org.openapitools.client.model.Status;

/** Runs an execution with the generated client: java Run http://127.0.0.1:8080 */
public class Run {
    public static void main(String[] arguments) throws Exception {
        var client = new ApiClient();
        client.updateBaseUri(arguments[0]);
        var api = new ExecutionsApi(client);
        var input = Map.of("message", "Hello");

        Execution execution = api.startSyncExecution(new NewExecution().input(input).job("echo"), null, null);
        same(Pattern.SYNC, execution.getPattern());
        String id = execution.getExecutionId();
        while (!execution.getDone()) {
            Thread.sleep(100);
            execution = api.getExecution(id, null, null);
        }
        same(Status.COMPLETED, execution.getStatus());
        same(0, execution.getExitCode());
        same(input, execution.getResult());

        same(1, api.getExecutionLogs(id, null, null, null).getLines().size());
        var page = api.listExecutions(null, null, "echo", null, null, null, null, null, null, null, null);
        same(id, page.getExecutions().get(0).getExecutionId());

        try {
            throw new AssertionError(api.getExecution("nothing", null, null));
        } catch (ApiException refused) {
            same(404, refused.getCode());
            var problem = client.getObjectMapper().readValue(refused.getResponseBody(), Problem.class);
            same("execution-not-found", problem.getCode().getValue());
        }
    }

    private static void same(Object expected, Object actual) {
        if (!expected.equals(actual)) throw new AssertionError("expected " + expected + ", not " + actual);
    }
}
